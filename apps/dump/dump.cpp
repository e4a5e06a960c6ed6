#include "dump/dump.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>

#include "dump/elements.hpp"
#include "errc.hpp"

namespace troupe::apps {
namespace {

using nlohmann::json;

/// Nothing is rounded or cut off to make it fit.
template <class Number>
Number whole(const json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<Number>::max())
    throw std::runtime_error("a number in it is no whole one, or too large");
  return value.get<Number>();
}

/// Throws for a line that is not one of ours; the caller names the line.
DumpEntry entry_from(const json& line) {
  DumpEntry entry;
  entry.task = line.at("task").get<std::string>();
  entry.name = line.at("name").get<std::string>();
  entry.chip = line.at("chip").get<std::string>();
  entry.stage = line.at("stage").get<std::string>();
  entry.role = line.at("role").get<std::string>();
  entry.argument = whole<std::uint32_t>(line.at("argument"));
  const auto dtype = runtime::dtype_from_name(line.at("dtype").get<std::string>());
  if (!dtype) throw std::runtime_error("unknown dtype " + line.at("dtype").dump());
  entry.dtype = *dtype;
  const json& shape = line.at("shape");
  if (!shape.is_array()) throw std::runtime_error("its shape is no list");
  for (const json& extent : shape) entry.shape.push_back(whole<std::uint64_t>(extent));
  entry.offset = whole<std::uint64_t>(line.at("offset"));
  entry.bytes = whole<std::uint64_t>(line.at("bytes"));
  entry.truncated = line.at("truncated").get<bool>();
  return entry;
}

/// Why an entry cannot be true, or nothing.
std::string doubt(const DumpEntry& entry, std::uint64_t file_bytes) {
  std::uint64_t expected = runtime::size_of(entry.dtype);
  for (const auto extent : entry.shape) {
    if (__builtin_mul_overflow(expected, extent, &expected)) return "its shape is too large";
  }
  if (entry.truncated ? entry.bytes != 0 : entry.bytes != expected) {
    return "its bytes do not match its shape";
  }
  if (entry.offset > file_bytes || entry.bytes > file_bytes - entry.offset) {
    return "its elements lie beyond the end of tensors.bin";
  }
  return {};
}

/// " min -1 max 3 mean 0.5", with counts of nan and inf if there are; least and most are of the elements'
/// type, in which no digit is lost.
template <class T>
std::string figures_of(const std::string& bytes) {
  using Value = ValueOf<T>;
  Value least{}, most{};
  long double sum = 0;
  std::size_t nan = 0, inf = 0, finite = 0;
  for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    const Value value = load_element<T>(bytes.data() + at);
    if constexpr (std::is_floating_point_v<Value>) {
      nan += std::isnan(value) ? 1 : 0;
      inf += std::isinf(value) ? 1 : 0;
      if (!std::isfinite(value)) continue;
    }
    least = finite == 0 ? value : std::min(least, value);
    most = finite == 0 ? value : std::max(most, value);
    sum += static_cast<long double>(value);
    ++finite;
  }
  std::string text;
  if (finite != 0) {
    using Mean = std::conditional_t<std::is_same_v<Value, float>, float, double>;
    text = " min " + number_text(least) + " max " + number_text(most) + " mean " +
           number_text(static_cast<Mean>(sum / static_cast<long double>(finite)));
  }
  if (nan != 0) text += ", nan: " + std::to_string(nan);
  if (inf != 0) text += ", inf: " + std::to_string(inf);
  return text;
}

}  // namespace

bool DumpFilter::admits(const DumpEntry& entry, std::size_t at) const {
  if (!task.empty() && task != entry.task) return false;
  if (!name.empty() && fnmatch(name.c_str(), entry.name.c_str(), 0) != 0) return false;
  if (!stage.empty() && stage != entry.stage) return false;
  if (!role.empty() && role != entry.role) return false;
  if (argument && *argument != entry.argument) return false;
  return !index || *index == at;
}

Result<std::vector<DumpEntry>> read_dump(const std::string& folder) {
  const char* const hint = "dumps are written by: troupe run PROGRAM --tensor-dump FOLDER";
  std::ifstream in(folder + "/tensors.jsonl", std::ios::binary);
  std::error_code problem;
  const std::uint64_t file_bytes = std::filesystem::file_size(folder + "/tensors.bin", problem);
  if (!in || problem) return Error(Errc::cannot_read, "there is no tensor dump in \"" + folder + "\"", hint);
  std::vector<DumpEntry> entries;
  std::size_t number = 0;
  const auto bad = [&](const std::string& what) {
    return Error(Errc::bad_file,
                 "\"" + folder + "/tensors.jsonl\", line " + std::to_string(number) + ": " + what, hint);
  };
  for (std::string text; std::getline(in, text);) {
    ++number;
    try {
      const json line = json::parse(text);
      if (number == 1) {
        if (!line.is_object() || line.value("troupe_dump", 0) != 1) {
          return bad("not a tensor dump of a version that this command knows");
        }
        continue;
      }
      entries.push_back(entry_from(line));
      const std::string why = doubt(entries.back(), file_bytes);
      if (!why.empty()) return bad(why);
    } catch (const std::exception& error) {
      if (in.eof()) break;                         // the last line of a run that died while it wrote
      const std::string_view said = error.what();  // "[json.exception.parse_error.101] parse error at …"
      return bad(std::string(said.substr(said.starts_with('[') ? said.find("] ") + 2 : 0)));
    }
  }
  if (number == 0) return bad("the file is empty");
  return entries;
}

Result<std::string> read_bytes(const std::string& folder, const DumpEntry& entry) {
  std::ifstream in(folder + "/tensors.bin", std::ios::binary);
  std::string raw(entry.bytes, '\0');
  in.seekg(static_cast<std::streamoff>(entry.offset));
  in.read(raw.data(), static_cast<std::streamsize>(raw.size()));
  if (!in) return Error(Errc::cannot_read, "cannot read the elements in \"" + folder + "/tensors.bin\"");
  return raw;
}

std::string describe(const DumpEntry& entry, std::size_t index, const std::string& bytes) {
  std::string text = "[#" + std::to_string(index) + "] " + entry.chip + " " + entry.task + " " + entry.name +
                     " " + entry.stage + " " + entry.role + "[" + std::to_string(entry.argument) + "] " +
                     std::string(runtime::name_of(entry.dtype)) + "[";
  for (std::size_t i = 0; i < entry.shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(entry.shape[i]);
  }
  text += "]";
  if (entry.truncated) return text + " (elements not kept: the dump was full)";
  return text +
         with_element_type(entry.dtype, [&]<class T>(std::type_identity<T>) { return figures_of<T>(bytes); });
}

std::string render_elements(const DumpEntry& entry, const std::string& bytes) {
  const std::uint64_t row = entry.shape.empty() || entry.shape.back() == 0 ? 1 : entry.shape.back();
  std::string text;
  with_element_type(entry.dtype, [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
      text += number_text(load_element<T>(bytes.data() + i * sizeof(T)));
      text += (i + 1) % row == 0 ? '\n' : ' ';
    }
  });
  return text;
}

}  // namespace troupe::apps
