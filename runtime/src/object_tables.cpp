#include "object_tables.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "text.hpp"
#include "troupe/runtime/object_file.hpp"

namespace troupe::runtime {

std::string ObjectTables::check() {
  for (const auto step :
       {&ObjectTables::read_dynamic, &ObjectTables::read_strings, &ObjectTables::read_hash,
        &ObjectTables::read_gnu_hash, &ObjectTables::read_versions, &ObjectTables::check_symbols}) {
    if (auto why = (this->*step)(); !why.empty()) return why;
  }
  if (auto why = check_relocations(DT_RELA, DT_RELASZ, "relocation"); !why.empty()) return why;
  if (auto why = check_relocations(DT_JMPREL, DT_PLTRELSZ, "jump relocation"); !why.empty()) return why;
  if (auto why = check_packed_relocations(); !why.empty()) return why;
  if (auto why = check_overlaps(); !why.empty()) return why;
  return check_functions();
}

std::optional<std::uint64_t> ObjectTables::value(std::int64_t tag) const noexcept {
  std::optional<std::uint64_t> found;
  for (const auto& entry : dynamic_) {
    if (entry.d_tag == tag) found = entry.d_un.d_val;
  }
  return found;
}

std::optional<ObjectTables::Table> ObjectTables::table(std::int64_t address_tag, std::int64_t size_tag,
                                                       std::size_t row) const noexcept {
  const auto address = value(address_tag);
  const std::uint64_t bytes = value(size_tag).value_or(0);
  if (!address || bytes == 0) return Table{};
  const auto offset = offset_of_table(*address, bytes);
  if (!offset || bytes % row != 0) return std::nullopt;
  return Table{*offset, static_cast<std::size_t>(bytes / row), *address};
}

std::optional<std::size_t> ObjectTables::offset_of_table(std::uint64_t address,
                                                         std::uint64_t bytes) const noexcept {
  // In the dynamic table the linker replaces addresses by those in the process, before it reads the others.
  const auto* dynamic = image_.segment(PT_DYNAMIC);
  if (address < dynamic->p_vaddr + dynamic->p_memsz && address + bytes > dynamic->p_vaddr)
    return std::nullopt;
  return image_.offset_of(address, bytes);
}

std::string_view ObjectTables::string(std::uint64_t offset) const noexcept {
  std::size_t length = 0;
  while (image_.read<char>(strings_ + offset + length) != '\0') ++length;
  return image_.text_at(strings_ + offset, length);
}

bool ObjectTables::has_relocated_text() const noexcept {
  return value(DT_TEXTREL).has_value() || (value(DT_FLAGS).value_or(0) & DF_TEXTREL) != 0;
}

bool ObjectTables::may_be_written(std::uint64_t address, std::uint64_t bytes) const noexcept {
  // With text relocations the linker makes everything writable first.
  return image_.holds(address, bytes, has_relocated_text() ? 0 : PF_W);
}

std::string ObjectTables::read_dynamic() {
  const auto* segment = image_.segment(PT_DYNAMIC);
  const auto offset = image_.offset_of(segment->p_vaddr, segment->p_filesz);
  const std::size_t count = segment->p_filesz / sizeof(Elf64_Dyn);
  for (std::size_t i = 0; offset && i < count; ++i) {
    const auto entry = image_.entry<Elf64_Dyn>(*offset, i);
    if (entry.d_tag == DT_NULL) break;
    dynamic_.push_back(entry);
  }
  if (!offset || dynamic_.size() == count) return "its dynamic table has no end";
  const auto differs = [this](std::int64_t tag, std::uint64_t wanted) {
    return value(tag).value_or(wanted) != wanted;
  };
  if (differs(DT_SYMENT, sizeof(Elf64_Sym)) || differs(DT_RELAENT, sizeof(Elf64_Rela)) ||
      differs(DT_PLTREL, DT_RELA) || differs(DT_RELRENT, word)) {
    return "its dynamic table speaks of rows of an unknown kind";
  }
  // The linker does not ask whether these are there when it comes to what needs them; and where only the size
  // of a table is told, its begin was lost.
  static constexpr std::pair<std::int64_t, std::int64_t> pairs[] = {{DT_RELA, DT_RELASZ},
                                                                    {DT_RELASZ, DT_RELA},
                                                                    {DT_RELA, DT_RELAENT},
                                                                    {DT_JMPREL, DT_PLTRELSZ},
                                                                    {DT_PLTRELSZ, DT_JMPREL},
                                                                    {DT_JMPREL, DT_PLTREL},
                                                                    {DT_RELR, DT_RELRSZ},
                                                                    {DT_RELRSZ, DT_RELR},
                                                                    {DT_RELR, DT_RELRENT},
                                                                    {DT_INIT_ARRAY, DT_INIT_ARRAYSZ},
                                                                    {DT_INIT_ARRAYSZ, DT_INIT_ARRAY},
                                                                    {DT_FINI_ARRAY, DT_FINI_ARRAYSZ},
                                                                    {DT_FINI_ARRAYSZ, DT_FINI_ARRAY},
                                                                    {DT_VERNEED, DT_VERSYM},
                                                                    {DT_VERDEF, DT_VERSYM}};
  for (const auto& [what, needs] : pairs) {
    if (value(what) && !value(needs)) return "its dynamic table is incomplete";
  }
  return value(DT_REL) ? "its dynamic table speaks of rows of an unknown kind" : "";
}

std::string ObjectTables::read_strings() {
  const auto strings = value(DT_STRTAB), bytes = value(DT_STRSZ), symbols = value(DT_SYMTAB);
  if (!strings || !bytes || !symbols) return "its dynamic table names no strings or no symbols";
  const auto offset = offset_of_table(*strings, *bytes);
  if (!offset || *bytes == 0 || image_.read<char>(*offset + *bytes - 1) != '\0')
    return "its strings lie outside of it or have no end";
  if (image_.read<char>(*offset) != '\0') return "its strings do not begin where it says";
  strings_ = *offset;
  string_bytes_ = *bytes;
  const auto first = offset_of_table(*symbols, sizeof(Elf64_Sym));
  if (!first) return "its symbols lie outside of it";
  symbols_ = *first;
  const auto none = image_.text_at(symbols_, sizeof(Elf64_Sym));
  if (none.find_first_not_of('\0') != std::string_view::npos) return "its symbols do not begin where it says";
  for (const auto& entry : dynamic_) {
    switch (entry.d_tag) {
      case DT_NEEDED:
      case DT_SONAME:
      case DT_RPATH:
      case DT_RUNPATH:
      case DT_AUXILIARY:
      case DT_FILTER:
        if (!is_string(entry.d_un.d_val)) return "its dynamic table names a string that is not there";
        break;
      default:
        break;
    }
  }
  return "";
}

std::string ObjectTables::read_hash() {
  const auto address = value(DT_HASH);
  if (!address) return "";
  const auto head = offset_of_table(*address, 2 * sizeof(std::uint32_t));
  if (!head) return "its hash table lies outside of it";
  const std::uint64_t buckets = image_.entry<std::uint32_t>(*head, 0),
                      chains = image_.entry<std::uint32_t>(*head, 1);
  if (!offset_of_table(*address, (2 + buckets + chains) * sizeof(std::uint32_t)))
    return "its hash table lies outside of it";
  symbol_count_ = std::max<std::size_t>(symbol_count_, chains);
  // A chain that comes back to itself would be walked for ever: all chains together visit a symbol once.
  std::uint64_t visited = 0;
  for (std::uint64_t i = 0; i < buckets; ++i) {
    std::uint32_t at = image_.entry<std::uint32_t>(*head, 2 + i);
    for (; at != STN_UNDEF; at = image_.entry<std::uint32_t>(*head, 2 + buckets + at)) {
      if (at >= chains || ++visited > chains) return "a chain of its hash table leads astray";
    }
  }
  return "";
}

std::string ObjectTables::read_gnu_hash() {
  const auto address = value(DT_GNU_HASH);
  if (!address) return "";
  const auto head = offset_of_table(*address, 4 * sizeof(std::uint32_t));
  if (!head) return "its symbol index lies outside of it";
  const std::uint64_t buckets = image_.entry<std::uint32_t>(*head, 0),
                      first = image_.entry<std::uint32_t>(*head, 1),
                      filters = image_.entry<std::uint32_t>(*head, 2),
                      shift = image_.entry<std::uint32_t>(*head, 3);
  const std::uint64_t begin = 4 * sizeof(std::uint32_t) + filters * word;
  const std::uint64_t chains = begin + buckets * sizeof(std::uint32_t);
  if (!std::has_single_bit(filters) || shift >= 32 || !offset_of_table(*address, chains))
    return "its symbol index contradicts itself";
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < buckets; ++i) {
    const std::uint64_t bucket = image_.entry<std::uint32_t>(*head + begin, i);
    if (bucket != 0 && bucket < first) return "its symbol index contradicts itself";
    last = std::max(last, bucket);
  }
  symbol_count_ = std::max<std::size_t>(symbol_count_, first);
  if (last == 0) return "";
  // Chains follow each other; the last row of each is marked.
  for (;; ++last) {
    const auto row =
        offset_of_table(*address + chains + (last - first) * sizeof(std::uint32_t), sizeof(std::uint32_t));
    if (!row) return "a chain of its symbol index has no end";
    if ((image_.read<std::uint32_t>(*row) & 1U) != 0) break;
  }
  symbol_count_ = std::max<std::size_t>(symbol_count_, last + 1);
  return "";
}

std::string ObjectTables::read_versions() {
  if (auto why = read_needed_versions(); !why.empty()) return why;
  if (auto why = read_own_versions(); !why.empty()) return why;
  const auto versions = value(DT_VERSYM);
  if (!versions) return "";
  const auto rows = offset_of_table(*versions, symbol_count_ * sizeof(std::uint16_t));
  if (!rows) return "the versions of its symbols lie outside of it";
  for (std::size_t i = 0; i < symbol_count_; ++i) {
    if ((image_.entry<std::uint16_t>(*rows, i) & 0x7FFFU) > last_version_)
      return text("symbol ", i, " has a version that does not exist");
  }
  return "";
}

std::string ObjectTables::read_needed_versions() {
  const auto first = value(DT_VERNEED);
  if (!first) return "";
  const std::string astray = "the versions that it needs lead astray";
  std::uint64_t at = *first;
  // Each row takes room, so more of them than fit into the file come from a circle.
  std::size_t rows = image_.size() / sizeof(Elf64_Vernaux);
  for (;;) {
    const auto place = offset_of_table(at, sizeof(Elf64_Verneed));
    if (!place || rows-- == 0) return astray;
    const auto library = image_.read<Elf64_Verneed>(*place);
    if (!is_string(library.vn_file)) return astray;
    const auto name = string(library.vn_file);
    const bool known = std::any_of(dynamic_.begin(), dynamic_.end(), [&](const Elf64_Dyn& entry) {
      return entry.d_tag == DT_NEEDED && string(entry.d_un.d_val) == name;
    });
    if (!known) return text("it needs versions of '", name, "', which it is not linked to");
    std::uint64_t next = at + library.vn_aux;
    for (;;) {
      const auto where = offset_of_table(next, sizeof(Elf64_Vernaux));
      if (!where || rows-- == 0) return astray;
      const auto version = image_.read<Elf64_Vernaux>(*where);
      if (!is_string(version.vna_name)) return astray;
      last_version_ = std::max<std::uint32_t>(last_version_, version.vna_other & 0x7FFFU);
      if (version.vna_next == 0) break;
      next += version.vna_next;
    }
    if (library.vn_next == 0) return "";
    at += library.vn_next;
  }
}

std::string ObjectTables::read_own_versions() {
  const auto first = value(DT_VERDEF);
  if (!first) return "";
  const std::string astray = "the versions that it defines lead astray";
  std::uint64_t at = *first;
  for (std::size_t rows = image_.size() / sizeof(Elf64_Verdef); rows != 0; --rows) {
    const auto place = offset_of_table(at, sizeof(Elf64_Verdef));
    if (!place) return astray;
    const auto version = image_.read<Elf64_Verdef>(*place);
    const auto name = offset_of_table(at + version.vd_aux, sizeof(Elf64_Verdaux));
    if (!name || !is_string(image_.read<Elf64_Verdaux>(*name).vda_name)) return astray;
    last_version_ = std::max<std::uint32_t>(last_version_, version.vd_ndx & 0x7FFFU);
    if (version.vd_next == 0) return "";
    at += version.vd_next;
  }
  return astray;
}

std::string object_defect(std::span<const std::byte> file) {
  ObjectImage image(file);
  if (auto why = image.read_headers(); !why.empty()) return why;
  return ObjectTables(image).check();
}

std::vector<std::size_t> unique_symbols(std::span<const std::byte> file) {
  std::vector<std::size_t> places;
  ObjectImage image(file);
  if (!image.read_headers().empty()) return places;
  ObjectTables tables(image);
  if (!tables.check().empty()) return places;
  for (std::size_t i = 0; i < tables.symbol_count(); ++i) {
    const std::size_t place = tables.symbol_table() + i * sizeof(Elf64_Sym) + offsetof(Elf64_Sym, st_info);
    if (ELF64_ST_BIND(image.read<unsigned char>(place)) == STB_GNU_UNIQUE) places.push_back(place);
  }
  return places;
}

}  // namespace troupe::runtime
