// The bytes of a shared object, before the dynamic linker gets them: what is called sound has a list of
// unique symbols that lies inside the file, and stays sound when they are made ordinary ones, as a kernel's
// are.
#include <elf.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "troupe/runtime/object_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::runtime;
  std::string bytes(reinterpret_cast<const char*>(data), size);
#if defined(__aarch64__)
  // The corpus is of one machine; the tables are the same on all.
  constexpr std::size_t machine = offsetof(Elf64_Ehdr, e_machine);
  if (size > machine && bytes[machine] == EM_X86_64) bytes[machine] = static_cast<char>(EM_AARCH64);
#endif
  const auto file = std::as_bytes(std::span(bytes));
  const bool sound = object_defect(file).empty();
  const auto unique = unique_symbols(file);
  if (!sound && !unique.empty()) std::abort();
  for (const std::size_t place : unique) {
    if (place >= size || ELF64_ST_BIND(static_cast<std::uint8_t>(bytes[place])) != STB_GNU_UNIQUE)
      std::abort();
    bytes[place] = static_cast<char>(ELF64_ST_INFO(STB_GLOBAL, ELF64_ST_TYPE(bytes[place])));
  }
  if (sound && (!object_defect(file).empty() || !unique_symbols(file).empty())) std::abort();
  return 0;
}
