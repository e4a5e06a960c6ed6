// What relocations write, and the functions that the linker calls: the second half of what it follows.
#include <algorithm>
#include <iterator>

#include "object_tables.hpp"
#include "text.hpp"

namespace troupe::runtime {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t nothing = R_X86_64_NONE, relative = R_X86_64_RELATIVE,
                        relative_to_call = R_X86_64_IRELATIVE, of_data = R_X86_64_GLOB_DAT,
                        of_call = R_X86_64_JUMP_SLOT, described_thread_local = R_X86_64_TLSDESC;
constexpr std::uint32_t thread_local_kinds[] = {R_X86_64_DTPMOD64, R_X86_64_DTPOFF64, R_X86_64_TPOFF64,
                                                described_thread_local};
constexpr std::uint32_t other_kinds[] = {nothing, relative,    relative_to_call, of_data,
                                         of_call, R_X86_64_64, R_X86_64_SIZE64};
constexpr std::uint32_t kinds_in_text[] = {R_X86_64_32, R_X86_64_32S, R_X86_64_PC32, R_X86_64_PC64,
                                           R_X86_64_SIZE32};
#else
constexpr std::uint32_t nothing = R_AARCH64_NONE, relative = R_AARCH64_RELATIVE,
                        relative_to_call = R_AARCH64_IRELATIVE, of_data = R_AARCH64_GLOB_DAT,
                        of_call = R_AARCH64_JUMP_SLOT, described_thread_local = R_AARCH64_TLSDESC;
constexpr std::uint32_t thread_local_kinds[] = {R_AARCH64_TLS_DTPMOD, R_AARCH64_TLS_DTPREL,
                                                R_AARCH64_TLS_TPREL, described_thread_local};
constexpr std::uint32_t other_kinds[] = {nothing, relative, relative_to_call,
                                         of_data, of_call,  R_AARCH64_ABS64};
constexpr std::uint32_t kinds_in_text[] = {R_AARCH64_ABS32, R_AARCH64_PREL32, R_AARCH64_PREL64};
#endif

template <std::size_t Count>
bool one_of(const std::uint32_t (&kinds)[Count], std::uint32_t type) noexcept {
  return std::find(std::begin(kinds), std::end(kinds), type) != std::end(kinds);
}

/// What the linker writes, at least: words of four bytes are rare, but there are some.
std::uint64_t width_of(std::uint32_t type) noexcept {
  if (type == described_thread_local) return 16;
#if defined(__x86_64__)
  if (type == R_X86_64_32 || type == R_X86_64_32S || type == R_X86_64_PC32 || type == R_X86_64_SIZE32)
    return 4;
#else
  if (type == R_AARCH64_ABS32 || type == R_AARCH64_PREL32) return 4;
#endif
  return type == nothing ? 0 : 8;
}

}  // namespace

std::string ObjectTables::check_symbols() {
  if (!offset_of_table(*value(DT_SYMTAB), symbol_count_ * sizeof(Elf64_Sym)))
    return "its symbols lie outside of it";
  for (std::size_t i = 1; i < symbol_count_; ++i) {
    if (auto why = check_symbol(i); !why.empty()) return why;
  }
  return "";
}

std::string ObjectTables::check_symbol(std::size_t number) const {
  const auto symbol = image_.entry<Elf64_Sym>(symbols_, number);
  if (!is_string(symbol.st_name)) return text("symbol ", number, " has a name that is not there");
  const unsigned type = ELF64_ST_TYPE(symbol.st_info), bind = ELF64_ST_BIND(symbol.st_info);
  if (symbol.st_shndx == SHN_UNDEF) {
    // Of such a one the linker takes the value as it stands, and what is called is the head of the file.
    if (bind == STB_LOCAL || ELF64_ST_VISIBILITY(symbol.st_other) != STV_DEFAULT)
      return text("symbol '", string(symbol.st_name), "' is neither in it nor to be looked for elsewhere");
    return "";
  }
  if (symbol.st_shndx == SHN_ABS) return "";
  const auto* thread_local_part = image_.segment(PT_TLS);
  bool good = true;
  if (type == STT_TLS) {
    good = thread_local_part != nullptr && symbol.st_value <= thread_local_part->p_memsz;
  } else if (type == STT_FUNC || type == STT_GNU_IFUNC) {
    good = image_.is_code(symbol.st_value);
  }
  return good ? "" : text("symbol '", string(symbol.st_name), "' lies outside of it");
}

std::string ObjectTables::check_relocations(std::int64_t address_tag, std::int64_t size_tag,
                                            const char* what) {
  const auto rows = table(address_tag, size_tag, sizeof(Elf64_Rela));
  if (!rows) return text("its ", what, "s lie outside of it");
  const std::uint64_t first = address_tag == DT_RELA ? value(DT_RELACOUNT).value_or(0) : 0;
  for (std::size_t i = 0; i < rows->count; ++i) {
    const auto row = image_.entry<Elf64_Rela>(rows->offset, i);
    const std::string where = text(what, " ", i);
    // The linker stops the process when it finds another kind among these.
    if (i < first && ELF64_R_TYPE(row.r_info) != relative)
      return text(where, " is none of the kind announced");
    if (auto why = check_relocation(row, where); !why.empty()) return why;
  }
  return "";
}

std::string ObjectTables::check_relocation(const Elf64_Rela& relocation, const std::string& where) {
  const auto type = static_cast<std::uint32_t>(ELF64_R_TYPE(relocation.r_info));
  const std::uint64_t symbol = ELF64_R_SYM(relocation.r_info);
  const std::uint64_t bytes = width_of(type);
  const bool of_thread = one_of(thread_local_kinds, type);
  if (!of_thread && !one_of(other_kinds, type) && !(has_relocated_text() && one_of(kinds_in_text, type)))
    return text(where, " is of kind ", type, ", which shared objects do not have");
  if (bytes == 0) return "";
  if (!may_be_written(relocation.r_offset, bytes)) return text(where, " writes outside of it");
  if (auto why = check_target(type, symbol); !why.empty()) return text(where, why);
  const auto addend = static_cast<std::uint64_t>(relocation.r_addend);
  if (type == relative_to_call && !image_.is_code(addend)) return text(where, " calls what is no code");
  Written written{relocation.r_offset, bytes, std::nullopt};
  if (type == relative) written.value = addend;
  set_.push_back(written);
  return "";
}

/// The symbol of a relocation; 0: none.
std::string ObjectTables::check_target(std::uint32_t type, std::uint64_t symbol) {
  const bool of_thread = one_of(thread_local_kinds, type);
  if (symbol == 0) {
    if (type == of_data || type == of_call) return " is about no symbol";
    return of_thread && image_.segment(PT_TLS) == nullptr ? " is about thread-locals that it has not" : "";
  }
  if (type == relative || type == relative_to_call) return " names a symbol that it has no use for";
  if (symbol >= symbol_count_) {
    // An index of defined symbols alone does not tell how many others there are.
    const auto place = offset_of_table(*value(DT_SYMTAB), (symbol + 1) * sizeof(Elf64_Sym));
    if (!place || !check_symbol(symbol).empty()) return " is about a symbol that is not there";
    symbol_count_ = symbol + 1;
  }
  const auto named = image_.entry<Elf64_Sym>(symbols_, symbol);
  const bool thread_local_one = ELF64_ST_TYPE(named.st_info) == STT_TLS;
  if (of_thread != thread_local_one && (type == of_data || type == of_call || of_thread))
    return text(" takes '", string(named.st_name), "' for what it is not");
  return "";
}

/// No place gets two values, and the dynamic table, which the linker goes on reading, none but its own.
std::string ObjectTables::check_overlaps() {
  std::sort(set_.begin(), set_.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  const auto* table = image_.segment(PT_DYNAMIC);
  for (std::size_t i = 0; i < set_.size(); ++i) {
    const std::uint64_t end = set_[i].address + set_[i].bytes;
    if (i + 1 < set_.size() && set_[i + 1].address < end) return "two of its relocations write to one place";
    if (set_[i].address < table->p_vaddr + table->p_memsz && end > table->p_vaddr)
      return "a relocation writes into its dynamic table";
  }
  return "";
}

// Relative ones as a row of addresses and, with the lowest bit set, bits for the 63 words behind.
std::string ObjectTables::check_packed_relocations() {
  const auto rows = table(DT_RELR, DT_RELRSZ, word);
  if (!rows) return "its packed relocations lie outside of it";
  std::uint64_t next = 0;
  const auto relocates = [this](std::uint64_t address) {
    const auto place = image_.offset_of(address, word);
    if (!place || !may_be_written(address, word)) return false;
    set_.push_back({address, word, image_.read<std::uint64_t>(*place)});
    return true;
  };
  for (std::size_t i = 0; i < rows->count; ++i) {
    const auto row = image_.entry<std::uint64_t>(rows->offset, i);
    bool good = true;
    if ((row & 1U) == 0) {
      good = relocates(row);
      next = row + word;
    } else {
      for (std::uint64_t bit = 1; bit < 64; ++bit) {
        if ((row >> bit & 1U) != 0) good = good && relocates(next + (bit - 1) * word);
      }
      next += 63 * word;
    }
    if (!good) return text("packed relocation ", i, " writes outside of it");
  }
  return "";
}

std::string ObjectTables::check_functions() {
  for (const auto tag : {DT_INIT, DT_FINI}) {
    const auto function = value(tag);
    if (function && !image_.is_code(*function)) return "its first or last function lies outside of its code";
  }
  if (auto why = check_function_array(DT_INIT_ARRAY, DT_INIT_ARRAYSZ, "constructor"); !why.empty())
    return why;
  return check_function_array(DT_FINI_ARRAY, DT_FINI_ARRAYSZ, "destructor");
}

std::string ObjectTables::check_function_array(std::int64_t address_tag, std::int64_t size_tag,
                                               const char* what) {
  const auto rows = table(address_tag, size_tag, word);
  if (!rows) return text("its ", what, "s lie outside of it");
  for (std::size_t i = 0; i < rows->count; ++i) {
    const std::uint64_t address = rows->address + i * word;
    const auto set = std::lower_bound(set_.begin(), set_.end(), address,
                                      [](const Written& one, std::uint64_t at) { return one.address < at; });
    // Without a relocation it stays what the file says, which is no address of this process.
    const bool good =
        set != set_.end() && set->address == address && (!set->value || image_.is_code(*set->value));
    if (!good) return text(what, " ", i, " is no code of it");
  }
  return "";
}

}  // namespace troupe::runtime
