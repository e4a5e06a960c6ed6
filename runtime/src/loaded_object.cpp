#include "loaded_object.hpp"

#include <elf.h>
#include <link.h>

#include <cstring>

namespace troupe::runtime {
namespace {

std::span<const std::byte> find_build_id(std::span<const std::byte> notes, std::size_t align) {
  const auto padded = [align](std::size_t size) { return (size + align - 1) / align * align; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    notes = notes.subspan(sizeof note);
    const std::size_t name = padded(note.n_namesz);
    if (name > notes.size() || note.n_descsz > notes.size() - name) return {};
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(notes.data(), "GNU", 4) == 0) {
      return notes.subspan(name, note.n_descsz);
    }
    notes = notes.subspan(std::min(notes.size(), name + padded(note.n_descsz)));
  }
  return {};
}

struct Search {
  std::uintptr_t address;
  std::optional<LoadedObject> found;
};

int look(dl_phdr_info* info, std::size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  const std::span headers(info->dlpi_phdr, info->dlpi_phnum);
  const auto holds = [&](const ElfW(Phdr) & header) {
    const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    return header.p_type == PT_LOAD && search.address >= begin && search.address - begin < header.p_memsz;
  };
  bool held = false;
  for (const auto& header : headers) held = held || holds(header);
  if (!held) return 0;
  LoadedObject object{info->dlpi_addr, info->dlpi_name == nullptr ? "" : info->dlpi_name, {}};
  if (object.path.empty()) object.path = "/proc/self/exe";
  for (const auto& header : headers) {
    if (header.p_type != PT_NOTE || !object.build_id.empty()) continue;
    const auto* notes = reinterpret_cast<const std::byte*>(info->dlpi_addr + header.p_vaddr);
    object.build_id = find_build_id({notes, header.p_memsz}, header.p_align == 8 ? 8 : 4);
  }
  search.found = std::move(object);
  return 1;
}

}  // namespace

std::optional<LoadedObject> loaded_object_at(const void* address) {
  Search search{reinterpret_cast<std::uintptr_t>(address), std::nullopt};
  dl_iterate_phdr(look, &search);
  return std::move(search.found);
}

}  // namespace troupe::runtime
