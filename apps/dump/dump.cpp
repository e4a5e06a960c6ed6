#include "dump/dump.hpp"

#include <fnmatch.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "errc.hpp"

namespace troupe::apps {
namespace {

using nlohmann::json;
using runtime::DType;

template <class T>
std::vector<double> widened(const std::string& raw) {
  std::vector<double> values;
  values.reserve(raw.size() / sizeof(T));
  for (std::size_t at = 0; at + sizeof(T) <= raw.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, raw.data() + at, sizeof(T));
    if constexpr (std::is_arithmetic_v<T>) {
      values.push_back(static_cast<double>(value));
    } else {
      values.push_back(static_cast<double>(static_cast<float>(value)));
    }
  }
  return values;
}

/// Throws json::exception for a line that is not one of ours; the caller names the line.
DumpEntry entry_from(const json& line) {
  DumpEntry entry;
  entry.task = line.at("task").get<std::string>();
  entry.name = line.at("name").get<std::string>();
  entry.chip = line.at("chip").get<std::string>();
  entry.stage = line.at("stage").get<std::string>();
  entry.role = line.at("role").get<std::string>();
  entry.argument = line.at("argument").get<std::uint32_t>();
  const auto dtype = runtime::dtype_from_name(line.at("dtype").get<std::string>());
  if (!dtype) throw std::runtime_error("unknown dtype " + line.at("dtype").dump());
  entry.dtype = *dtype;
  entry.shape = line.at("shape").get<std::vector<std::uint64_t>>();
  entry.offset = line.at("offset").get<std::uint64_t>();
  entry.bytes = line.at("bytes").get<std::uint64_t>();
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

std::string number(double value) {
  std::ostringstream text;
  text << std::setprecision(7) << value;
  return text.str();
}

}  // namespace

std::uint64_t DumpEntry::elements() const { return bytes / runtime::size_of(dtype); }

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

Result<std::vector<double>> read_elements(const std::string& folder, const DumpEntry& entry) {
  const auto bytes = read_bytes(folder, entry);
  if (!bytes) return bytes.error();
  const std::string& raw = *bytes;
  switch (entry.dtype) {
    case DType::f32:
      return widened<float>(raw);
    case DType::f16:
      return widened<runtime::Float16>(raw);
    case DType::bf16:
      return widened<runtime::BFloat16>(raw);
    case DType::i64:
      return widened<std::int64_t>(raw);
    case DType::i32:
      return widened<std::int32_t>(raw);
    case DType::i16:
      return widened<std::int16_t>(raw);
    case DType::i8:
      return widened<std::int8_t>(raw);
    case DType::u64:
      return widened<std::uint64_t>(raw);
    case DType::u32:
      return widened<std::uint32_t>(raw);
    case DType::u16:
      return widened<std::uint16_t>(raw);
    case DType::f64:
      return widened<double>(raw);
    case DType::u8:
    case DType::boolean:
    case DType::f8e4m3:
    case DType::f8e8m0:
    case DType::f4e2m1:
      return widened<std::uint8_t>(raw);
  }
  return Error(Errc::bad_file, "unknown dtype");
}

std::string describe(const DumpEntry& entry, std::size_t index, const std::vector<double>& elements) {
  std::string text = "[#" + std::to_string(index) + "] " + entry.chip + " " + entry.task + " " + entry.name +
                     " " + entry.stage + " " + entry.role + "[" + std::to_string(entry.argument) + "] " +
                     std::string(runtime::name_of(entry.dtype)) + "[";
  for (std::size_t i = 0; i < entry.shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(entry.shape[i]);
  }
  text += "]";
  if (entry.truncated) return text + " (elements not kept: the dump was full)";
  double least = std::numeric_limits<double>::infinity(), most = -least, sum = 0;
  std::size_t nan = 0, inf = 0, finite = 0;
  for (const double value : elements) {
    if (std::isnan(value)) {
      ++nan;
    } else if (std::isinf(value)) {
      ++inf;
    } else {
      ++finite;
      least = std::min(least, value);
      most = std::max(most, value);
      sum += value;
    }
  }
  if (finite != 0) {
    text += " min " + number(least) + " max " + number(most) + " mean " +
            number(sum / static_cast<double>(finite));
  }
  if (nan != 0) text += ", nan: " + std::to_string(nan);
  if (inf != 0) text += ", inf: " + std::to_string(inf);
  return text;
}

std::string render_elements(const DumpEntry& entry, const std::vector<double>& elements) {
  const std::uint64_t row = entry.shape.empty() || entry.shape.back() == 0 ? 1 : entry.shape.back();
  std::string text;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    text += number(elements[i]);
    text += (i + 1) % row == 0 ? '\n' : ' ';
  }
  return text;
}

}  // namespace troupe::apps
