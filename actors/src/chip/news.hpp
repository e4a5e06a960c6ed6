#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/protocol.hpp"

// What a chip's actor hears from its own threads and from its device. No part of the chip's protocol: who
// stands for a chip elsewhere has threads and a device of its own, or none.
namespace troupe::actors {

struct Copy;
struct MemoryCall;
struct OpenedDevice;

/// Ends of device runs, from the device's threads, in batches.
struct DeviceDone {
  struct One {
    std::uint64_t correlation = 0;
    std::int32_t code = 0;
    std::string message;
    std::uint64_t caused_by = 0;
    std::uint64_t started = 0, finished = 0;  ///< the host's clock
  };
  std::vector<One> ends;
  std::string lost = {};  ///< of what the device died, also when nothing ran on it; empty: it has not
};
/// A device has been opened, on a thread that may block. Closed again when nobody takes it.
struct DeviceOpened {
  std::shared_ptr<OpenedDevice> device;
};
/// A device context has been closed, on a thread that may block.
struct DeviceClosed {
  std::optional<Error> error;
};
/// A call on the device's memory has returned, on a thread that may block: the next one may go.
struct MemoryCalled {
  std::shared_ptr<const MemoryCall> call;
  Result<void> made;
  std::int64_t began = 0, ended = 0;  ///< by the host's clock
};
/// Who copied it does so no more.
struct LoanBack {
  std::uint32_t incarnation = 0;
  Copy* copy = nullptr;
};
/// A callable as a chip knows it. `own`: a foreign object that came with a submit; it goes when its last
/// holder has let go of it, and no chip program can name it.
struct CallableKey {
  runtime::Digest digest;
  bool own = false;
  friend bool operator==(const CallableKey&, const CallableKey&) = default;
};
/// A foreign object has been linked in, on a thread that may block: the callable's number on the device.
struct ObjectLinked {
  CallableKey callable;
  std::uint32_t incarnation = 0;
  Result<std::uint64_t> id = std::uint64_t{0};
};

}  // namespace troupe::actors
