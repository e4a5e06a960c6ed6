#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "threads/threads.hpp"
#include "troupe/actors/protocol.hpp"
#include "troupe/platform/device_context.hpp"

namespace troupe::actors {

/// A device context, and who is inside a call on it that takes long: such calls come from threads of the host
/// that may block, while the chip's actor goes on using the context. Shared by both; the one that closes it
/// waits until the last of them has left, without a thread that waits.
class TROUPE_API DeviceInUse {
 public:
  /// `memory`: reads or writes an asker's memory; `code`: links an object in, which may never return.
  enum class Inside : std::uint8_t { memory, code };

  explicit DeviceInUse(platform::DeviceContext of) : context(std::move(of)) {}

  platform::DeviceContext context;
  std::vector<std::uint64_t> copies;  ///< to be freed before it is closed

  void enter(Inside what);
  /// Runs, on this thread, what waited for it.
  void leave(Inside what);
  bool anybody(Inside what) const;
  /// Calls that are inside end as soon as they can, and nobody enters any more.
  void give_up() { given_up_.store(true, std::memory_order_relaxed); }
  bool given_up() const { return given_up_.load(std::memory_order_relaxed); }
  /// Calls `then` once nobody is inside: here, or where the last one leaves. One at a time for each kind.
  void when_left(Inside what, std::function<void()> then);

 private:
  struct Room {
    int inside = 0;
    std::function<void()> then;
  };
  Room& room(Inside what) { return rooms_[static_cast<std::size_t>(what)]; }

  std::atomic<bool> given_up_{false};
  mutable std::mutex mutex_;
  Room rooms_[2];
};

struct Copy;

/// What is asked of a chip's memory. One of them at a time, in the order they came: memory must not go while
/// it is copied.
struct TROUPE_API MemoryCall {
  /// Bytes of a buffer with gaps between them, which `address` has packed, perhaps among others.
  struct Strided {
    runtime::Box all;                    ///< at the address
    runtime::Box what;                   ///< of them
    std::vector<runtime::Box> but = {};  ///< from the chip: what host memory has, where others may read it
  };
  /// The bytes of a task that cross the chip's border, for traces: first out of it, then into it.
  struct Crossing {
    bool out = false, in = false;
    std::function<std::int64_t()> now = {};                    ///< null: nobody wants to know
    std::shared_ptr<std::optional<std::int64_t>> turned = {};  ///< of both: when they were out
  };
  enum class What : std::uint8_t { copy_to, copy_from, load, store, task, free, release_window };
  What what = What::free;
  std::uint32_t incarnation = 0;
  std::uint64_t address = 0;  ///< or the window
  std::uint64_t bytes = 0;
  void* host = nullptr;                                        ///< copies; of a strided one: the buffer
  std::shared_ptr<const comm::HostSegment> segment = nullptr;  ///< load and store
  std::shared_ptr<Buffer> buffer = nullptr;                    ///< whose bytes these are; null: an asker's
  Copy* copy = nullptr;                                        ///< the chip's copy of it, in that life
  Piece piece = {};                                            ///< of the buffer: which
  std::optional<Strided> strided = {};                         ///< bytes with gaps in the buffer
  bool for_room = false;                                       ///< it goes so that others have its room
  std::function<Result<void>(DeviceInUse&)> task = nullptr;    ///< of a task: what it does
  std::shared_ptr<const void> keeps = nullptr;                 ///< what that works on
  Crossing crossing = {};                                      ///< of a task

  static MemoryCall of(const DeviceCopy& copy);
  static MemoryCall of(const StageBuffer& stage);
  static MemoryCall of(const DeviceFree& free);
  static MemoryCall of(const WindowRelease& release);
  bool moves_bytes() const { return what < What::free; }
  /// "copy_to", for errors.
  std::string_view name() const;
};

/// Makes a window, here. Takes as long as its memory is large: all of it is there before anybody uses it.
TROUPE_API Result<WindowOffer> create_window(DeviceInUse& device, const troupe_window_spec& spec);

/// Makes the call, here: in pieces, and no longer than until the device is given up.
TROUPE_API Result<void> perform(DeviceInUse& device, const MemoryCall& call);

/// Closes a device context where waiting for its kernels, and for who is inside, hurts nobody. `then` is
/// called when it is gone (or in quarantine), and nothing of it touches anybody's memory any more.
void close_device(Services& services, std::shared_ptr<DeviceInUse> device, std::string path,
                  std::function<void(Result<void>)> then);

}  // namespace troupe::actors
