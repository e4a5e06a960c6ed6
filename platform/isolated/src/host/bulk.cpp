#include "host/bulk.hpp"

#include <algorithm>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {

namespace {

using Clock = std::chrono::steady_clock;

/// Where one could not be made, bytes go another way, and for so long nobody waits for the next try: of
/// eleven seconds at most one is spent with them.
Clock::duration until_next_try(Clock::duration took) {
  return std::max<Clock::duration>(std::chrono::seconds(1), 10 * took);
}

}  // namespace

Error Bulk::lost() const { return {Errc::system, "lost its connection for many bytes"}; }

/// Under the turn of that way. False: it has ended since it was used last.
bool Bulk::can_be_used(Stream& stream, Way way) {
  // Who reads it sees that.
  if (way == Way::from_device && read_ != asked_) return true;
  std::byte nothing{};
  return stream.receive({&nothing, 1}).nothing;
}

/// Under the turn of that way. Null: it cannot be made now.
Result<Stream*> Bulk::stream_of(Way way) {
  auto& stream = streams_[static_cast<std::size_t>(way)];
  auto& not_before = not_before_[static_cast<std::size_t>(way)];
  {
    const std::lock_guard lock(mutex_);
    if (over_) return lost();
    if (stream && can_be_used(*stream, way)) return stream.get();
    stream.reset();
  }
  const auto begun = Clock::now();
  if (!open_ || begun < not_before) return nullptr;
  auto opened = open_(way);
  if (!opened) {
    const auto ended = Clock::now();
    not_before = ended + until_next_try(ended - begun);
    const std::lock_guard lock(mutex_);
    if (!told_why_not_ && !why_not_) why_not_ = opened.error();
    return nullptr;
  }
  const std::lock_guard lock(mutex_);
  if (over_) return lost();
  stream = *std::move(opened);
  return stream.get();
}

Result<bool> Bulk::put(std::uint64_t number, std::uint64_t device, std::span<const std::byte> bytes,
                       const GoOn& go_on) {
  const std::lock_guard turn(turns_[static_cast<std::size_t>(Way::to_device)]);
  const auto stream = stream_of(Way::to_device);
  if (!stream) return stream.error();
  if (*stream == nullptr) return false;
  BulkOrder order;
  order.number = number;
  order.device = device;
  order.bytes = bytes.size();
  if (send_all(**stream, std::as_bytes(std::span(&order, 1)), go_on, true) &&
      send_all(**stream, bytes, go_on))
    return true;
  shut();
  return lost();
}

Result<std::optional<Bulk::Got>> Bulk::get(std::uint64_t device, std::span<std::byte> bytes,
                                           const GoOn& go_on) {
  Stream* from = nullptr;
  std::uint64_t mine = 0;
  {
    const std::lock_guard turn(turns_[static_cast<std::size_t>(Way::from_device)]);
    const auto stream = stream_of(Way::from_device);
    if (!stream) return stream.error();
    if (*stream == nullptr) return std::optional<Got>();
    from = *stream;
    BulkOrder order;
    order.device = device;
    order.bytes = bytes.size();
    if (!send_all(*from, std::as_bytes(std::span(&order, 1)), go_on)) {
      shut();
      return lost();
    }
    mine = asked_++;
  }
  std::unique_lock lock(mutex_);
  next_.wait(lock, [&] { return over_ || read_ == mine; });
  if (over_) return lost();
  lock.unlock();
  auto got = read(*from, bytes, go_on);
  if (!got) shut();
  lock.lock();
  ++read_;
  next_.notify_all();
  if (!got) return got.error();
  return std::optional(*std::move(got));
}

/// As the slices come.
Result<Bulk::Got> Bulk::read(Stream& stream, std::span<std::byte> bytes, const GoOn& go_on) {
  while (!bytes.empty()) {
    BulkSlice slice;
    if (!receive_all(stream, std::as_writable_bytes(std::span(&slice, 1)), go_on)) return lost();
    if (slice.code != 0) {
      Got failed{slice.code, std::string(std::min(slice.bytes, most_bulk_text), '\0')};
      if (!receive_all(stream, std::as_writable_bytes(std::span(failed.text)), go_on)) return lost();
      return failed;
    }
    if (slice.bytes == 0 || slice.bytes > bytes.size())
      return Error(Errc::internal, "sent more bytes than it was asked for");
    if (!receive_all(stream, bytes.first(slice.bytes), go_on)) return lost();
    bytes = bytes.subspan(slice.bytes);
  }
  return Got{};
}

std::optional<Error> Bulk::why_not() {
  const std::lock_guard lock(mutex_);
  if (why_not_) told_why_not_ = true;
  return std::exchange(why_not_, std::nullopt);
}

void Bulk::shut() noexcept {
  const std::lock_guard lock(mutex_);
  over_ = true;
  for (const auto& stream : streams_) {
    if (stream) stream->shut();
  }
  next_.notify_all();
}

}  // namespace troupe::platform::isolation
