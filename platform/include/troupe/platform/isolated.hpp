#pragma once

// A platform whose contexts live in processes of their own: a DeviceApi like any other, whose calls go to a
// small program, troupe-chip, that has loaded the real library. The table is a plain value; each context of
// it owns its process. Any thread, as the device ABI has it.
// Errors: isolated() and chip_program() are Results (load_failed); what goes wrong later is answered like on
// any platform: a process that has died is `lost`, whatever it died of.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "troupe/platform/device_api.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform {

/// Host memory that another process can map, so that bytes in it are copied there and back by that process
/// itself. Called from any thread.
class TROUPE_API MappableMemory {
 public:
  /// A whole mapping of a file.
  struct Piece {
    std::shared_ptr<const void> keeps;  ///< while it is held, the piece stays what it is
    const std::byte* base = nullptr;
    std::uint64_t bytes = 0;
    int descriptor = -1;  ///< its offset 0 is at `base`
  };
  virtual ~MappableMemory();
  /// The piece in which all of these bytes lie; none: they are other memory, and go through a buffer.
  virtual std::optional<Piece> piece_at(const std::byte* address, std::uint64_t bytes) = 0;
};

struct IsolatedOptions {
  std::string library;     ///< the platform: a path, or a name, as `DeviceLibrary::open` takes it
  std::string where = {};  ///< whose chips, for errors and crash reports: "node0/chip1"
  std::shared_ptr<MappableMemory> memory = {};  ///< null: everything goes through buffers
  std::string program = {};                     ///< the path of troupe-chip; empty: it is looked for
};

/// The platform with each context in a process of its own, which begins with the context and ends with it,
/// and with this process however that ends. What a kernel does there (crash, exit, loop) ends no other:
///
/// - A process that dies is a device that has died: each of its runs ends with `lost`, once the process is
///   gone for good, and the sentence says of what, with kernel and task. A reset starts another process.
/// - reset, finalize and destroy never answer BUSY and leave nothing in quarantine: a process with a kernel
///   that does not return in time is killed.
/// - Callables come from module files or from bytes. Those of the program itself are refused (bad_callable).
/// - Kernels are no functions of this process, so `TROUPE_FEATURE_HOST_KERNELS` is not among the features.
/// - The option "silence_ms" (default 5000): how long the process may say nothing while a call waits for it,
///   before it counts as dead. Beside that the options are the library's.
///
/// It guards against mistakes, not against malice: the process may do whatever its user may.
/// Needs a host with threads; nothing here loads the library into this process.
[[nodiscard]] TROUPE_API Result<DeviceApi> isolated(IsolatedOptions options);

/// Where troupe-chip is: what the environment variable TROUPE_CHIP_PROGRAM says, else in the places where a
/// build and an installation put it. An error names them.
[[nodiscard]] TROUPE_API Result<std::string> chip_program();

}  // namespace troupe::platform
