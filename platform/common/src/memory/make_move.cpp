#include <cstring>
#include <optional>
#include <string>

#include "memory/addresses.hpp"
#include "memory/movable_memory.hpp"
#include "troupe/platform/move_runs.hpp"

namespace troupe::platform::common {

namespace {

/// Between two pieces a move looks whether it is still wanted: every 25 ms or so. As much as this at a time,
/// because the C library writes past the caches only from about there on.
constexpr std::uint64_t piece = std::uint64_t{256} << 20;

/// One side of a move, held for as long as it goes on.
class Side {
 public:
  Side(const troupe_move_side& side, MovableMemory* memory) : address_(side.address), memory_(memory) {}
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  ~Side() {
    if (bytes_) memory_->leave_move(address_, *bytes_);
  }
  Result<void> enter(std::optional<std::uint64_t> reach, std::string_view name) {
    if (!reach) return Error(Errc::out_of_range, std::string(name) + ": more bytes than any memory has");
    if (memory_ == nullptr) {
      if (address_ != 0) return {};
      return Error(Errc::invalid_argument, std::string(name) + ": host memory at address 0");
    }
    auto entered = memory_->enter_move(address_, *reach, name);
    if (entered) bytes_ = reach;
    return entered;
  }
  bool ends() const noexcept { return memory_ != nullptr && memory_->ends_moves(); }

 private:
  const std::uint64_t address_;
  MovableMemory* const memory_;
  std::optional<std::uint64_t> bytes_;
};

}  // namespace

Result<void> make_move(const troupe_move& move, MovableMemory* from, MovableMemory* to) {
  if (auto sound = check_move(move); !sound) return sound;
  if (moves_nothing(move)) return {};
  Side source(move.from, from), target(move.to, to);
  if (auto entered = source.enter(reach_of(move, move.from), "source"); !entered) return entered;
  if (auto entered = target.enter(reach_of(move, move.to), "destination"); !entered) return entered;
  return for_each_run_of(move, [&](std::uint64_t out, std::uint64_t in, std::uint64_t bytes) -> Result<void> {
    for (std::uint64_t done = 0; done < bytes;) {
      if (source.ends() || target.ends()) return Error(Errc::aborted, "a device was reset during the move");
      const auto now = std::min(piece, bytes - done);
      if (to != nullptr) {
        to->take_moved(in + done, pointer(out + done), now);
      } else {
        std::memcpy(pointer(in + done), pointer(out + done), now);
      }
      done += now;
    }
    return {};
  });
}

}  // namespace troupe::platform::common
