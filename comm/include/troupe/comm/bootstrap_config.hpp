#pragma once

// The records of chip bring-up: what a chip is asked to set up (`ChipBootstrapConfig`) and what it reports
// back (`ChipBootstrapResult`). Plain values that own their texts, for one user at a time; field names and
// defaults are those of the reference system, so that a port is a copy.
// Errors are Results: bad_config with a message that begins "ValueError: " or "KeyError: ".

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

/// The communicator a chip joins: its rank, the number of ranks, where they meet, how large a window each
/// has.
struct ChipCommBootstrapConfig {
  int rank = 0;
  int nranks = 1;
  std::string rootinfo_path;      ///< names the meeting place; the same text on every rank
  std::uint64_t window_size = 0;  ///< bytes per rank
};

/// A named piece of the chip's own window. Pieces are laid out in the order of the config, each at the next
/// multiple of `ChipBootstrapConfig::buffer_alignment`. `nbytes` may be 0: the buffer then has an address and
/// no bytes.
struct ChipBufferSpec {
  std::string name;
  std::string dtype = "float32";  ///< a name known to the data model, e.g. "float32", "bfloat16", "int32"
  std::uint64_t count = 0;        ///< elements; must fit `nbytes`
  std::string placement = "window";
  std::uint64_t nbytes = 0;
  bool load_from_host = false;  ///< filled from `input_staging(name)` before bring-up reports success
  bool store_to_host = false;   ///< copied to `output_staging(name)` on request and on shutdown
};

/// Host bytes under a POSIX shared-memory name that the user chose; `size` must equal the buffer's `nbytes`.
struct HostBufferStaging {
  std::string name;      ///< the buffer it belongs to
  std::string shm_name;  ///< with or without the leading slash
  std::uint64_t size = 0;
};

/// Everything one chip needs to come up.
struct TROUPE_API ChipBootstrapConfig {
  std::optional<ChipCommBootstrapConfig> comm;  ///< none: no window, hence no buffers
  std::vector<ChipBufferSpec> buffers;
  std::vector<HostBufferStaging> host_inputs;
  std::vector<HostBufferStaging> host_outputs;
  std::uint64_t buffer_alignment = 64;  ///< a power of two

  /// The staging of a buffer; an error of type KeyError when the config has none.
  Result<HostBufferStaging> input_staging(std::string_view name) const;
  Result<HostBufferStaging> output_staging(std::string_view name) const;
};

/// Where everything landed; addresses are the chip's. All zero and empty without a communicator.
struct ChipBootstrapResult {
  std::uint64_t device_ctx = 0;         ///< address of the chip's CommContext
  std::uint64_t local_window_base = 0;  ///< address of the chip's own window
  std::uint64_t actual_window_size = 0;
  std::vector<std::uint64_t> buffer_ptrs;  ///< in the order of `ChipBootstrapConfig::buffers`

  friend bool operator==(const ChipBootstrapResult&, const ChipBootstrapResult&) = default;
};

/// The record that a level above keeps of a chip that came up: the result, with the buffers under their
/// names.
struct ChipContext {
  int device_id = 0;
  int rank = 0;
  int nranks = 1;
  std::uint64_t device_ctx = 0;
  std::uint64_t local_window_base = 0;
  std::uint64_t actual_window_size = 0;
  std::map<std::string, std::uint64_t, std::less<>> buffer_ptrs;
};

/// The context of a chip from its config and its result; an error when the result does not have exactly one
/// address per buffer.
[[nodiscard]] TROUPE_API Result<ChipContext> chip_context(int device_id, const ChipBootstrapConfig& config,
                                                          const ChipBootstrapResult& result);

/// Byte offsets of the buffers inside the window, in config order.
///
/// Checks everything that can be known without touching a device or a peer (ranks, sizes with overflow,
/// names, placements, alignment, staging records), so a wrong config fails before any peer waits for this
/// rank. Messages start with the type the reference raises: "ValueError: …", "KeyError: …".
[[nodiscard]] TROUPE_API Result<std::vector<std::uint64_t>> validate(const ChipBootstrapConfig& config);

}  // namespace troupe::comm
