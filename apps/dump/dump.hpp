#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// One tensor at one moment, as `troupe run --tensor-dump` wrote it.
struct DumpEntry {
  std::string task, name, chip, stage, role;
  std::uint32_t argument = 0;
  runtime::DType dtype = runtime::DType::f32;
  std::vector<std::uint64_t> shape;
  std::uint64_t offset = 0, bytes = 0;
  bool truncated = false;
};

/// Which entries to look at; what is not set lets everything through. `name` may contain * and ?.
struct DumpFilter {
  std::string task = {}, name = {}, stage = {}, role = {};
  std::optional<std::uint32_t> argument = {};
  std::optional<std::size_t> index = {};  ///< the entry's number in the listing without a filter

  bool admits(const DumpEntry& entry, std::size_t index) const;
};

/// Reads the index of a dump folder and checks every line against the elements' file.
[[nodiscard]] Result<std::vector<DumpEntry>> read_dump(const std::string& folder);

/// The bytes of an entry as they lay in memory, row after row.
[[nodiscard]] Result<std::string> read_bytes(const std::string& folder, const DumpEntry& entry);

/// An entry as a file of NumPy (.npy, version 1.0). Elements of bf16, which NumPy does not have, become f32.
[[nodiscard]] Result<std::string> as_npy(const DumpEntry& entry, const std::string& bytes);

/// "[#4] 1.2 add before in[0] f32[128, 128] min -1 max 3 mean 0.5", with counts of nan and inf if there are;
/// `bytes` as read_bytes gives them.
[[nodiscard]] std::string describe(const DumpEntry& entry, std::size_t index, const std::string& bytes);
/// The elements as text, a line per row: each so that it can be read again without a loss.
[[nodiscard]] std::string render_elements(const DumpEntry& entry, const std::string& bytes);

}  // namespace troupe::apps
