#include "troupe/runtime/module_file.hpp"

#include <elf.h>
#include <link.h>

#include <cstring>

#include "text.hpp"

namespace troupe::runtime {
namespace {

#if defined(__x86_64__)
constexpr unsigned this_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned this_machine = EM_AARCH64;
#else
#error "name this machine's ELF number"
#endif

}  // namespace

std::string module_file_defect(std::span<const std::byte> file) {
  Elf64_Ehdr header;
  if (file.size() < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) return "it is no ELF file";
  if (file.size() < sizeof header) return "it ends inside its ELF header";
  std::memcpy(&header, file.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return "it is not a 64-bit little-endian file";
  }
  if (header.e_machine != this_machine)
    return text("it is for machine ", header.e_machine, ", not for this one");
  if (header.e_type != ET_DYN) return "it is no shared object";
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return "its program headers have an unknown size";
  const std::size_t table = header.e_phnum * sizeof(Elf64_Phdr);
  if (header.e_phoff > file.size() || table > file.size() - header.e_phoff)
    return "it ends inside its program headers";
  bool loads = false, dynamic = false;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, file.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_offset > file.size() || segment.p_filesz > file.size() - segment.p_offset) {
      return text("it ends inside segment ", i);
    }
    if (segment.p_type == PT_LOAD && segment.p_filesz > segment.p_memsz)
      return text("segment ", i, " contradicts itself");
    loads = loads || segment.p_type == PT_LOAD;
    dynamic = dynamic || segment.p_type == PT_DYNAMIC;
  }
  return loads && dynamic ? "" : "it has nothing to load";
}

}  // namespace troupe::runtime
