#include "apps/common/elf_file.h"

#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <iterator>

#include "apps/common/random.h"

namespace tiara::apps {
namespace {

std::vector<std::byte> own_file() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

ReadAt reader_of(const std::vector<std::byte>& bytes) {
  return [&bytes](uint64_t offset, std::span<std::byte> out) {
    if (offset > bytes.size() || bytes.size() - offset < out.size()) return false;
    memcpy(out.data(), bytes.data() + offset, out.size());
    return true;
  };
}

}  // namespace

TEST_CASE("a test program of our own is a dynamic native ELF file") {
  const auto bytes = own_file();
  const auto facts = inspect_elf(reader_of(bytes));
  REQUIRE(facts);
  CHECK(facts->is_64_bit);
  CHECK(facts->is_native_machine);
  CHECK(facts->is_dynamic);
  CHECK(facts->interpreter.find("ld-linux") != std::string::npos);
  CHECK_FALSE(facts->is_go);
}

TEST_CASE("an ELF file without a dynamic linker is static") {
  std::vector<std::byte> bytes(sizeof(Elf64_Ehdr));
  Elf64_Ehdr header{};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  memcpy(bytes.data(), &header, sizeof header);
  const auto facts = inspect_elf(reader_of(bytes));
  REQUIRE(facts);
  CHECK_FALSE(facts->is_dynamic);
}

TEST_CASE("text is not an ELF file") {
  const std::string text = "#!/bin/sh\nexit 0\n and more than sixteen bytes";
  const auto view = std::as_bytes(std::span(text));
  const std::vector<std::byte> bytes(view.begin(), view.end());
  CHECK_FALSE(inspect_elf(reader_of(bytes)));
}

TEST_CASE("every truncation of an ELF file's headers is an answer, never a crash") {
  const auto whole = own_file();
  for (size_t length = 0; length < 2048; ++length) {
    const std::vector<std::byte> bytes(whole.begin(),
                                       whole.begin() + static_cast<ptrdiff_t>(length));
    (void)inspect_elf(reader_of(bytes));
  }
}

TEST_CASE("damaged headers are an answer, never a crash or an endless search") {
  const auto whole = own_file();
  Random random(1);
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::byte> bytes(whole.begin(), whole.begin() + 4096);
    for (uint64_t i = 0; i < 1 + random.below(8); ++i)
      bytes[random.below(1024)] = static_cast<std::byte>(random.next());
    (void)inspect_elf(reader_of(bytes));
  }
}

}  // namespace tiara::apps
