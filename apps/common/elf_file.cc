#include "apps/common/elf_file.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace tiara::apps {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kNativeMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kNativeMachine = EM_AARCH64;
#endif

// A dynamic linker's path is a path: longer ones are not honoured by the kernel either (PATH_MAX).
constexpr uint64_t kMaxInterpreter = 4096;

std::unexpected<Error> broken(std::string what) {
  return fail(ErrorCode::kInvalidInput, "a broken ELF file: " + std::move(what));
}

// Notes are a build id and a few properties; what lies behind this much is not looked at.
constexpr uint64_t kMaxNotes = 64 << 10;

template <typename T>
std::optional<T> read_as(const ReadAt& read_at, uint64_t offset) {
  T value;
  if (!read_at(offset, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
  return value;
}

std::optional<std::string> segment_bytes(const ReadAt& read_at, const Elf64_Phdr& segment,
                                         uint64_t at_most) {
  std::string bytes(std::min(segment.p_filesz, at_most), '\0');
  if (!read_at(segment.p_offset, std::as_writable_bytes(std::span(bytes)))) return std::nullopt;
  return bytes;
}

// Does a note segment hold a note named "Go"? A note that runs over the end ends the search.
bool has_go_note(std::string_view notes) {
  uint64_t offset = 0;  // grows by at most 2^33 + 12 a step and stays below kMaxNotes: no overflow
  while (offset + sizeof(Elf64_Nhdr) <= notes.size()) {
    Elf64_Nhdr header;
    memcpy(&header, notes.data() + offset, sizeof header);
    const uint64_t name = offset + sizeof header;
    if (header.n_namesz == 4 && notes.substr(name, 4) == std::string_view("Go\0\0", 4)) return true;
    const auto padded = [](uint64_t size) { return (size + 3) & ~uint64_t{3}; };
    offset = name + padded(header.n_namesz) + padded(header.n_descsz);
  }
  return false;
}

}  // namespace

Result<ElfFacts> inspect_elf(const ReadAt& read_at) {
  const auto identity = read_as<std::array<unsigned char, EI_NIDENT>>(read_at, 0);
  if (!identity || memcmp(identity->data(), ELFMAG, SELFMAG) != 0)
    return fail(ErrorCode::kInvalidInput, "not an ELF file");
  ElfFacts facts;
  facts.is_64_bit = (*identity)[EI_CLASS] == ELFCLASS64;
  if (!facts.is_64_bit || (*identity)[EI_DATA] != ELFDATA2LSB)
    return facts;  // cannot be served: nothing else matters
  const auto header = read_as<Elf64_Ehdr>(read_at, 0);
  if (!header) return broken("the header is cut short");
  facts.is_native_machine = header->e_machine == kNativeMachine;
  if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
    return broken("neither a program nor a shared object");
  if (header->e_phnum != 0 && header->e_phentsize != sizeof(Elf64_Phdr))
    return broken("odd program header size");

  for (uint64_t i = 0; i < header->e_phnum; ++i) {
    uint64_t offset = 0;
    if (__builtin_add_overflow(header->e_phoff, i * sizeof(Elf64_Phdr), &offset))
      return broken("program headers lie outside the file");
    const auto segment = read_as<Elf64_Phdr>(read_at, offset);
    if (!segment) return broken("program headers lie outside the file");
    if (segment->p_type == PT_NOTE) {
      const auto notes = segment_bytes(read_at, *segment, kMaxNotes);
      if (!notes) return broken("a segment lies outside the file");
      facts.is_go |= has_go_note(*notes);
    } else if (segment->p_type == PT_INTERP) {
      const auto path = segment_bytes(read_at, *segment, kMaxInterpreter);
      if (!path) return broken("a segment lies outside the file");
      const size_t end = path->find('\0');
      if (end == std::string::npos) return broken("the dynamic linker's path has no end");
      facts.interpreter = path->substr(0, end);
      facts.is_dynamic = true;
    }
  }
  return facts;
}

}  // namespace tiara::apps
