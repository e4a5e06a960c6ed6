#include "object_image.hpp"

#include <algorithm>
#include <bit>

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

// What one object may take of the address space; no linker makes more, and sums below it cannot overflow.
constexpr std::uint64_t largest_address = std::uint64_t{1} << 46;
constexpr std::uint64_t least_page = 4096;
constexpr std::uint64_t largest_thread_local = std::uint64_t{1} << 30;

bool inside(std::uint64_t begin, std::uint64_t bytes, std::uint64_t from, std::uint64_t size) noexcept {
  return begin >= from && begin - from <= size && bytes <= size - (begin - from);
}

}  // namespace

std::string ObjectImage::read_headers() {
  Elf64_Ehdr header;
  if (file_.size() < SELFMAG || std::memcmp(file_.data(), ELFMAG, SELFMAG) != 0) return "it is no ELF file";
  if (file_.size() < sizeof header) return "it ends inside its ELF header";
  header = read<Elf64_Ehdr>(0);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return "it is not a 64-bit little-endian file";
  }
  if (header.e_machine != this_machine)
    return text("it is for machine ", header.e_machine, ", not for this one");
  if (header.e_type != ET_DYN) return "it is no shared object";
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return "its program headers have an unknown size";
  const std::size_t table = header.e_phnum * sizeof(Elf64_Phdr);
  if (header.e_phoff > file_.size() || table > file_.size() - header.e_phoff)
    return "it ends inside its program headers";
  bool loads = false, dynamic = false;
  std::uint64_t end = 0, end_in_file = 0;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = entry<Elf64_Phdr>(header.e_phoff, i);
    if (auto why = check_extent(i, segment); !why.empty()) return why;
    segments_.push_back(segment);
    dynamic = dynamic || segment.p_type == PT_DYNAMIC;
    if (segment.p_type != PT_LOAD) continue;
    // The linker reserves from the first to the end of the last, and maps the others over it.
    if (segment.p_vaddr < end) return text("segment ", i, " does not lie behind the one before");
    end = segment.p_vaddr + segment.p_memsz;
    // All linkers write them in the order of their addresses; one that shares bytes with another is astray.
    if (segment.p_filesz != 0 && segment.p_offset < end_in_file)
      return text("segment ", i, " does not lie behind the one before");
    if (segment.p_filesz != 0) end_in_file = segment.p_offset + segment.p_filesz;
    loads = true;
  }
  if (!loads || !dynamic) return "it has nothing to load";
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    if (auto why = check_segment(i, segments_[i]); !why.empty()) return why;
  }
  return "";
}

std::string ObjectImage::check_extent(std::size_t number, const Elf64_Phdr& segment) const {
  if (segment.p_offset > file_.size() || segment.p_filesz > file_.size() - segment.p_offset) {
    return text("it ends inside segment ", number);
  }
  if (segment.p_type != PT_LOAD) return "";
  const bool grows = segment.p_filesz < segment.p_memsz;  // with zeros, to write to
  if (segment.p_filesz > segment.p_memsz || (grows && (segment.p_flags & PF_W) == 0) ||
      segment.p_memsz > largest_address || segment.p_vaddr > largest_address - segment.p_memsz ||
      (segment.p_align > 1 && (!std::has_single_bit(segment.p_align) || segment.p_align > largest_address ||
                               (segment.p_vaddr - segment.p_offset) % segment.p_align != 0))) {
    return text("segment ", number, " contradicts itself");
  }
  return "";
}

// Those that are parts of loaded ones, and are read or written there.
std::string ObjectImage::check_segment(std::size_t number, const Elf64_Phdr& segment) const {
  const auto outside = [number] { return text("segment ", number, " lies outside of what is loaded"); };
  switch (segment.p_type) {
    case PT_DYNAMIC:
    case PT_NOTE:
    case PT_GNU_PROPERTY:
    case PT_GNU_EH_FRAME:
    case PT_PHDR:
      if (segment.p_filesz != 0 && !offset_of(segment.p_vaddr, segment.p_filesz)) return outside();
      if (segment.p_memsz != segment.p_filesz) return text("segment ", number, " contradicts itself");
      // The linker writes to a dynamic table that says it may.
      if (segment.p_type == PT_DYNAMIC && !holds(segment.p_vaddr, segment.p_memsz, segment.p_flags & PF_W))
        return outside();
      return "";
    case PT_GNU_RELRO:
      return segment.p_memsz == 0 || protects_own(segment) ? "" : outside();
    case PT_TLS:
      if (segment.p_filesz > segment.p_memsz || segment.p_memsz > largest_thread_local ||
          (segment.p_align != 0 && !std::has_single_bit(segment.p_align)) ||
          segment.p_align > largest_thread_local) {
        return text("segment ", number, " contradicts itself");
      }
      return segment.p_filesz == 0 || offset_of(segment.p_vaddr, segment.p_filesz) ? "" : outside();
    default:
      return "";
  }
}

// What is read-only once it is relocated; some linkers let it reach to the end of the last page.
bool ObjectImage::protects_own(const Elf64_Phdr& relro) const noexcept {
  for (const auto& segment : segments_) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) == 0) continue;
    const std::uint64_t page = std::max<std::uint64_t>(segment.p_align, least_page);
    const std::uint64_t end = (segment.p_vaddr + segment.p_memsz + page - 1) / page * page;
    if (inside(relro.p_vaddr, relro.p_memsz, segment.p_vaddr, end - segment.p_vaddr)) return true;
  }
  return false;
}

const Elf64_Phdr* ObjectImage::segment(std::uint32_t type) const noexcept {
  const Elf64_Phdr* found = nullptr;
  for (const auto& segment : segments_) {
    if (segment.p_type == type) found = &segment;
  }
  return found;
}

std::optional<std::size_t> ObjectImage::offset_of(std::uint64_t address, std::uint64_t bytes) const noexcept {
  for (const auto& segment : segments_) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_R) == 0 ||
        !inside(address, bytes, segment.p_vaddr, segment.p_filesz)) {
      continue;
    }
    return segment.p_offset + (address - segment.p_vaddr);
  }
  return std::nullopt;
}

bool ObjectImage::holds(std::uint64_t address, std::uint64_t bytes, std::uint32_t rights) const noexcept {
  for (const auto& segment : segments_) {
    if (segment.p_type == PT_LOAD && (segment.p_flags & rights) == rights &&
        inside(address, bytes, segment.p_vaddr, segment.p_memsz)) {
      return true;
    }
  }
  return false;
}

}  // namespace troupe::runtime
