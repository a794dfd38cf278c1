#include "nic/cc/elf.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace tiara;
using namespace tiara::nic::cc;

namespace {

// A minimal object: a null section, .text of one instruction, its relocation, symbols and names.
class ObjectBuilder {
 public:
  ObjectBuilder() {
    const std::string names("\0.text\0.rel.text\0.symtab\0.strtab\0entry\0tiara_wait\0", 52);
    file_.resize(64);
    const unsigned char ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    std::memcpy(file_.data(), ident, sizeof ident);
    put(16, 1, 2);
    put(18, 247, 2);
    add_section(0, 0, {}, 0, 0, 0);
    add_section(1, 1, std::vector<std::byte>(16), 0, 0, 6);
    std::vector<std::byte> relocation(16);
    relocation[8] = std::byte{10};
    relocation[12] = std::byte{2};
    add_section(7, 9, relocation, 3, 1, 0);
    std::vector<std::byte> symbols(72);
    symbols[24] = std::byte{33};
    symbols[28] = std::byte{0x12};
    symbols[30] = std::byte{1};
    symbols[48] = std::byte{39};
    symbols[52] = std::byte{0x10};
    add_section(17, 2, symbols, 4, 1, 0);
    add_section(
        25, 3,
        std::vector<std::byte>(reinterpret_cast<const std::byte*>(names.data()),
                               reinterpret_cast<const std::byte*>(names.data()) + names.size()),
        0, 0, 0);
    put(40, file_.size(), 8);
    put(58, 64, 2);
    put(60, headers_.size() / 64, 2);
    put(62, 4, 2);
    file_.insert(file_.end(), headers_.begin(), headers_.end());
  }
  std::vector<std::byte>& bytes() { return file_; }

 private:
  void put(size_t at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) file_[at + i] = static_cast<std::byte>(value >> (8 * i));
  }
  void add_section(uint32_t name, uint32_t type, const std::vector<std::byte>& data, uint32_t link,
                   uint32_t info, uint64_t flags) {
    const auto field = [this](uint64_t value, size_t bytes) {
      for (size_t i = 0; i < bytes; ++i)
        headers_.push_back(static_cast<std::byte>(value >> (8 * i)));
    };
    field(name, 4), field(type, 4), field(flags, 8), field(0, 8), field(file_.size(), 8),
        field(data.size(), 8);
    field(link, 4), field(info, 4), field(1, 8), field(0, 8);
    file_.insert(file_.end(), data.begin(), data.end());
  }
  std::vector<std::byte> file_;
  std::vector<std::byte> headers_;
};

}  // namespace

TEST_CASE("an object's sections, symbols and relocations are found") {
  ObjectBuilder object;
  const auto elf = ElfFile::parse(object.bytes());
  REQUIRE(elf.has_value());
  REQUIRE(elf->sections().size() == 5);
  REQUIRE(elf->find_section(".text") != nullptr);
  CHECK(elf->find_section(".text")->is_executable());
  CHECK(elf->find_section(".data") == nullptr);
  REQUIRE(elf->symbols().size() == 3);
  CHECK(elf->symbols()[1].name == "entry");
  CHECK(elf->symbols()[1].type == kSymbolFunction);
  CHECK(elf->symbols()[2].section == 0);
  const auto relocations = elf->relocations_of(1);
  REQUIRE(relocations.has_value());
  REQUIRE(relocations->size() == 1);
  CHECK((*relocations)[0].type == kRelocationCall);
  CHECK(elf->symbols()[(*relocations)[0].symbol].name == "tiara_wait");
}

TEST_CASE("every truncation of an object is refused or read without leaving it") {
  ObjectBuilder object;
  for (size_t size = 0; size < object.bytes().size(); ++size) {
    // A copy of exactly that size, so that a sanitizer sees a read past its end.
    const std::vector<std::byte> cut(object.bytes().begin(),
                                     object.bytes().begin() + static_cast<ptrdiff_t>(size));
    CHECK_FALSE(ElfFile::parse(cut).has_value());
  }
}

TEST_CASE("objects for another machine are refused with the cure") {
  ObjectBuilder object;
  object.bytes()[18] = std::byte{62};
  const auto elf = ElfFile::parse(object.bytes());
  REQUIRE_FALSE(elf.has_value());
  CHECK(elf.error().message.find("clang -target bpf") != std::string::npos);
}

TEST_CASE("damaged objects never give an index outside their tables") {
  std::mt19937_64 random(20240501);
  for (int round = 0; round < 20000; ++round) {
    ObjectBuilder object;
    for (uint64_t changes = 1 + random() % 6; changes > 0; --changes)
      object.bytes()[random() % object.bytes().size()] = static_cast<std::byte>(random());
    const auto elf = ElfFile::parse(object.bytes());
    if (!elf) continue;
    for (uint32_t i = 0; i < elf->sections().size(); ++i) {
      const auto relocations = elf->relocations_of(i);
      if (!relocations) continue;
      for (const Relocation& relocation : *relocations)
        REQUIRE(relocation.symbol < elf->symbols().size());
    }
  }
}
