#include "loaded_object.hpp"

#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstring>
#include <memory>

#include "object_image.hpp"

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

// The dynamic linker is one for the whole process, and answers a file that it knows with what it once mapped,
// whatever the file holds now. What was mapped is known nowhere but here, so this list is one for the
// process, too. It only grows, as what is loaded for good does.
struct FileOfObject {
  std::uintptr_t base;
  Digest file;
  const FileOfObject* before;
};
constinit std::atomic<const FileOfObject*> files_of_objects = nullptr;

const FileOfObject* find_file(const FileOfObject* last, std::uintptr_t base) {
  while (last != nullptr && last->base != base) last = last->before;
  return last;
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

std::span<const std::byte> build_id_in(std::span<const std::byte> file) {
  ObjectImage image(file);
  if (!image.read_headers().empty()) return {};
  for (const auto& segment : image.segments()) {
    if (segment.p_type != PT_NOTE) continue;
    const auto found =
        find_build_id(file.subspan(segment.p_offset, segment.p_filesz), segment.p_align == 8 ? 8 : 4);
    if (!found.empty()) return found;
  }
  return {};
}

void remember_file(std::uintptr_t base, const Digest& file) {
  auto entry = std::make_unique<FileOfObject>(FileOfObject{base, file, files_of_objects.load()});
  do {
    if (find_file(entry->before, base) != nullptr) return;
  } while (!files_of_objects.compare_exchange_weak(entry->before, entry.get()));
  (void)entry.release();  // as long as the object
}

std::optional<Digest> remembered_file(std::uintptr_t base) {
  const FileOfObject* found = find_file(files_of_objects.load(), base);
  return found != nullptr ? std::optional(found->file) : std::nullopt;
}

}  // namespace troupe::runtime
