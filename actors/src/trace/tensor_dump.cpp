#include "troupe/actors/tensor_dump.hpp"

#include <fnmatch.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "cannot_write.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::actors {
namespace {

const char* role_of(std::uint32_t tag) {
  switch (tag) {
    case TROUPE_TAG_IN:
      return "in";
    case TROUPE_TAG_OUT:
      return "out";
    case TROUPE_TAG_INOUT:
      return "inout";
    case TROUPE_TAG_OUT_EXISTING:
      return "out_existing";
    default:
      return "no_dep";
  }
}

std::string dump_in(const std::string& folder) { return "a tensor dump into \"" + folder + "\""; }

}  // namespace

Result<std::unique_ptr<TensorDump>> TensorDump::create(const std::string& folder, std::uint64_t max_bytes,
                                                       std::string names) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) return cannot_write(dump_in(folder), problem.value());
  if (std::filesystem::exists(folder + "/tensors.jsonl", problem)) {
    return Error(Errc::bad_argument, "\"" + folder + "\" holds a tensor dump already",
                 "name a new folder, or remove that one");
  }
  errno = 0;
  std::unique_ptr<TensorDump> dump(new TensorDump(folder, max_bytes, std::move(names)));
  if (!dump->lines_ || !dump->elements_) {
    return cannot_write(dump_in(folder), errno);
  }
  return dump;
}

TensorDump::TensorDump(std::string folder, std::uint64_t max_bytes, std::string names)
    : folder_(std::move(folder)),
      max_bytes_(max_bytes),
      names_(std::move(names)),
      lines_(folder_ + "/tensors.jsonl", std::ios::binary),
      elements_(folder_ + "/tensors.bin", std::ios::binary) {
  lines_ << "{\"troupe_dump\":1}\n" << std::flush;
}

void TensorDump::record(std::string_view chip, TaskId parent, const troupe_dump_record& record) {
  const char* const name = record.name == nullptr ? "" : record.name;
  if (!names_.empty() && fnmatch(names_.c_str(), name, 0) != 0) return;
  const std::lock_guard lock(mutex_);
  errno = 0;
  const bool fits = record.data != nullptr && record.bytes <= max_bytes_ - written_;
  nlohmann::ordered_json line = {
      {"task", task_label(chip_task(parent, static_cast<std::uint32_t>(record.task)))},
      {"name", name},
      {"chip", std::string(chip)},
      {"stage", record.after != 0 ? "after" : "before"},
      {"role", role_of(record.tag)},
      {"argument", record.argument},
      {"dtype", std::string(runtime::name_of(static_cast<runtime::DType>(record.dtype)))},
      {"shape", nlohmann::json::array()},
      {"offset", written_},
      {"bytes", fits ? record.bytes : 0},
      {"truncated", !fits}};
  for (std::uint32_t i = 0; i < record.ndims && i < 5; ++i) line["shape"].push_back(record.shape[i]);
  if (fits) {
    elements_.write(static_cast<const char*>(record.data), static_cast<std::streamsize>(record.bytes));
    elements_.flush();  // before the line that promises the bytes
    written_ += record.bytes;
  }
  lines_ << line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n" << std::flush;
  if (problem_ == 0 && (!lines_ || !elements_)) problem_ = errno;
}

Result<void> TensorDump::close() {
  const std::lock_guard lock(mutex_);
  errno = 0;
  lines_.close();
  elements_.close();
  if (lines_ && elements_) return {};
  return cannot_write(dump_in(folder_), problem_ != 0 ? problem_ : errno);
}

}  // namespace troupe::actors
