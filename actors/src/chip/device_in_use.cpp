#include "chip/device_in_use.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include "chip/loan.hpp"
#include "chip/move_strided.hpp"
#include "data/data.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/comm/host_segment.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {
namespace {

/// Between two pieces a copy looks whether its chip is still wanted: every 25 ms or so. As much as this at a
/// time, because the C library writes past the caches only from about there on.
constexpr std::uint64_t copy_piece = 256ULL << 20U;

/// Calls `piece(done, bytes)` until all is done.
template <class Piece>
Result<void> in_pieces(const DeviceInUse& device, const MemoryCall& call, std::uint64_t size, Piece piece) {
  for (std::uint64_t done = 0; done < call.bytes;) {
    if (device.given_up()) {
      return Error(Errc::chip_lost, std::string(call.name()) + ": the chip ended during the copy");
    }
    const auto bytes = std::min(size, call.bytes - done);
    if (Result<void> copied = piece(done, bytes); !copied) return copied;
    done += bytes;
  }
  return {};
}

}  // namespace

void DeviceInUse::enter(Inside what) {
  std::lock_guard guard(mutex_);
  ++room(what).inside;
}

/// With the lock under which who closes it looks whether anybody is inside, after having given it up.
bool DeviceInUse::try_enter(Inside what) {
  std::lock_guard guard(mutex_);
  if (given_up()) return false;
  ++room(what).inside;
  return true;
}

void DeviceInUse::leave(Inside what) {
  std::function<void()> then;
  {
    std::lock_guard guard(mutex_);
    if (--room(what).inside == 0) then = std::exchange(room(what).then, nullptr);
  }
  if (then) then();
}

bool DeviceInUse::anybody(Inside what) const {
  std::lock_guard guard(mutex_);
  return rooms_[static_cast<std::size_t>(what)].inside > 0;
}

void DeviceInUse::when_left(Inside what, std::function<void()> then) {
  {
    std::lock_guard guard(mutex_);
    if (room(what).inside > 0) {
      room(what).then = std::move(then);
      return;
    }
  }
  then();
}

MemoryCall MemoryCall::of(const DeviceCopy& copy) {
  return {copy.to_device ? What::copy_to : What::copy_from, copy.incarnation, copy.address, copy.bytes,
          copy.host};
}
MemoryCall MemoryCall::of(const StageBuffer& stage) {
  return {stage.to_device ? What::load : What::store,
          stage.incarnation,
          stage.address,
          stage.bytes,
          nullptr,
          stage.segment};
}
MemoryCall MemoryCall::of(const DeviceFree& free) { return {What::free, free.incarnation, free.address}; }
MemoryCall MemoryCall::of(const WindowRelease& release) {
  return {What::release_window, release.incarnation, release.window};
}

std::string_view MemoryCall::name() const {
  constexpr std::string_view names[] = {"copy_to", "copy_from", "load", "store",
                                        "copy",    "task",      "free", "window_release"};
  return names[static_cast<std::size_t>(what)];
}

Result<WindowOffer> create_window(DeviceInUse& device, const troupe_window_spec& spec) {
  WindowOffer offer;
  auto window = device.context.window_create(spec, offer.blob);
  if (!window) return window.error();
  offer.window = *window;
  if (offer.blob.fd < 0) return offer;
  comm::FileDescriptor memory(::fcntl(offer.blob.fd, F_DUPFD_CLOEXEC, 0));
  if (!memory.valid()) {
    const int problem = errno;
    (void)device.context.window_release(*window);
    return Error(comm::Errc::system, "sharing a window: " + std::generic_category().message(problem),
                 comm::limit_hint(problem));
  }
  offer.blob.fd = memory.get();
  offer.memory = std::make_shared<const comm::FileDescriptor>(std::move(memory));
  return offer;
}

namespace {

/// Inside a device that is another chip's, for as long as it lives; or not, where that chip has ended.
class Guest {
 public:
  explicit Guest(DeviceInUse& of) : of_(of), inside_(of.try_enter(DeviceInUse::Inside::memory)) {}
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() {
    if (inside_) of_.leave(DeviceInUse::Inside::memory);
  }
  bool is_inside() const { return inside_; }

 private:
  DeviceInUse& of_;
  const bool inside_;
};

/// Inside both devices, so that neither goes.
Result<void> take_from(DeviceInUse& device, const MemoryCall& call) {
  auto& lender = *call.loan->device;
  const Error ended(Errc::chip_lost, "the chip that had the bytes ended during the copy");
  std::optional<Guest> guest(lender);
  if (!guest->is_inside()) return ended;
  auto made =
      in_pieces(device, call, copy_piece, [&](std::uint64_t done, std::uint64_t bytes) -> Result<void> {
        if (lender.given_up()) return ended;
        troupe_move move{};
        move.from.address = call.loan->address + done;
        move.to.address = call.address + done;
        move.run_bytes = bytes;
        return device.context.move(move, &lender.context, &device.context);
      });
  guest.reset();
  if (made || !(made.error().root() == platform::Errc::lost)) return made;
  // Which of both?
  const auto own = device.context.status();
  return own && own->totals.state != TROUPE_STATE_LOST ? Result<void>(ended) : made;
}

Result<void> make_call(DeviceInUse& device, const MemoryCall& call) {
  if (call.strided) return move_strided(device, call, call.what == MemoryCall::What::copy_to);
  auto& context = device.context;
  auto* host = static_cast<std::byte*>(call.host);
  std::vector<std::byte> bounce;
  // Staged bytes go through a buffer of ours, not the mapping: a file that shrinks meanwhile is then an
  // error, not a signal.
  auto staged = [&](std::uint64_t bytes) -> std::span<std::byte> {
    bounce.resize(static_cast<std::size_t>(bytes));
    return bounce;
  };
  switch (call.what) {
    case MemoryCall::What::copy_to:
      return in_pieces(device, call, copy_piece, [&](std::uint64_t done, std::uint64_t bytes) {
        return context.copy_to(call.address + done, host + done, bytes);
      });
    case MemoryCall::What::copy_from:
      return in_pieces(device, call, copy_piece, [&](std::uint64_t done, std::uint64_t bytes) {
        return context.copy_from(host + done, call.address + done, bytes);
      });
    case MemoryCall::What::load:
      return in_pieces(device, call, stage_piece, [&](std::uint64_t done, std::uint64_t bytes) {
        const auto piece = staged(bytes);
        auto read = call.segment->read(done, piece);
        return read ? context.copy_to(call.address + done, piece.data(), bytes) : read;
      });
    case MemoryCall::What::store:
      return in_pieces(device, call, stage_piece, [&](std::uint64_t done, std::uint64_t bytes) {
        const auto piece = staged(bytes);
        auto copied = context.copy_from(piece.data(), call.address + done, bytes);
        return copied ? call.segment->write(done, piece) : copied;
      });
    case MemoryCall::What::take:
      return take_from(device, call);
    case MemoryCall::What::task:
      return call.task(device);
    case MemoryCall::What::free:
      return context.free(call.address);
    case MemoryCall::What::release_window:
      return context.window_release(call.address);
  }
  return {};
}

}  // namespace

Result<void> perform(DeviceInUse& device, const MemoryCall& call) {
  try {
    return make_call(device, call);
  } catch (const std::bad_alloc&) {
    return Error(Errc::out_of_memory, std::string(call.name()) + ": no host memory for it",
                 comm::limit_hint(ENOMEM));
  }
}

void close_device(Services& services, std::shared_ptr<DeviceInUse> device, std::string path,
                  std::function<void(Result<void>)> then) {
  using Inside = DeviceInUse::Inside;
  device->give_up();
  auto close_it = [&services, device, path = std::move(path)] {
    for (const auto copy : device->copies) (void)device->context.free(copy);
    auto closed = device->context.close();
    if (!closed) services.warn(path, "not closed, kept in quarantine: " + closed.error().message());
    return closed;
  };
  device->when_left(Inside::memory, [&services, device, close_it, then = std::move(then)] {
    services.run_blocking("troupe-close", [&services, device, close_it, then] {
      if (!device->anybody(Inside::code)) return then(close_it());
      // An object that is being linked in touches nobody's memory, and may take for ever: runs end now, the
      // context goes when it can.
      then(device->context.finalize());
      device->when_left(Inside::code, [&services, close_it] {
        services.run_blocking("troupe-close", [close_it] { (void)close_it(); });
      });
    });
  });
}

}  // namespace troupe::actors
