#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "wire/frame.hpp"
#include "wire/pulse.hpp"
#include "wire/stream.hpp"

namespace troupe::platform::isolation {

/// One end of a stream that frames go over. Sending never waits for the other end to read, unless it is asked
/// to: what the stream does not take is kept, and leaves when it does.
class Link {
 public:
  /// Hears what comes, on the thread that serves the link.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    /// An error ends the link.
    virtual Result<void> frame(Frame& frame) = 0;
    /// All that has come has been told.
    virtual void caught_up() {}
    /// Whether something beside may close the stream's descriptor. Then the stream is watched in a way that
    /// lets it end with that, so that the other end hears of it.
    virtual bool may_lose_stream() const { return false; }
  };
  enum class WhenFull : std::uint8_t { go_down, wait };

  /// `silence_ns`: without a byte for so long the other end counts as gone, and gets signs that this one is
  /// not; 0: neither. `silence_there_ns`: after so long without a byte the other end gives this one up; 0:
  /// after as long.
  Link(std::unique_ptr<Stream> stream, WhenFull when_full, std::uint64_t silence_ns = 0,
       std::uint64_t silence_there_ns = 0);
  /// Of what does not leave at once so much is kept, at least. Who has more to say waits for room.
  static constexpr std::size_t most_kept = std::size_t{64} << 20U;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// From any thread. False: it did not leave, because the link is down or (nothing else is wrong then) there
  /// are no descriptors for what should go along. Those stay the caller's.
  bool send(Kind kind, std::uint64_t number, std::span<const std::byte> payload,
            std::span<const int> descriptors = {});
  /// For who sends much, and may wait: until only a little is kept. Not on the thread that serves.
  void wait_for_room();
  /// The same for no longer than that; false: there is none yet.
  bool wait_for_room(std::chrono::milliseconds most);
  /// Whether only a little is kept. `caught_up` is called when that becomes so.
  bool has_room() const;
  /// Tells what comes until the other end has gone (`also`: or this descriptor can be read), somebody calls
  /// `shut`, nothing is heard any more, or something that is no frame comes: then the error says so.
  Result<void> serve(Receiver& receiver, int also = -1);
  /// From any thread: nothing more is told until it is wanted again. What comes stays where it is.
  void pause() noexcept { paused_.store(true); }
  void resume() noexcept;
  /// Ends it for both ends. From any thread.
  void shut() noexcept;
  /// `serve` returns once everything has left.
  void finish() noexcept;
  /// For who keeps the thread that serves from its work, from any thread and again and again: the other end
  /// hears meanwhile that this one is there.
  void say_alive();
  /// Lets `serve` call `caught_up`. So does the first send for which nobody is there any more.
  void wake() noexcept;
  bool is_down() const { return down_.load(std::memory_order_acquire); }
  bool is_local() const { return stream_->is_local(); }
  /// It ended because nothing was heard any more.
  bool fell_silent() const { return silent_.load(); }
  /// It ended because the other end had closed it.
  bool was_closed() const { return closed_.load(); }
  /// Rises with what arrives, of another process here with each byte, from elsewhere with each frame that is
  /// more than a sign of life.
  std::uint64_t heard() const { return heard_.load(std::memory_order_relaxed); }

 private:
  struct Rest {
    std::vector<std::byte> bytes;
    std::size_t sent = 0;
    std::vector<comm::FileDescriptor> descriptors;
  };
  enum class Came : std::uint8_t { bytes, nothing, end };

  bool keep(const FrameHeader& header, std::span<const std::byte> payload, std::size_t sent,
            std::span<const int> descriptors, std::unique_lock<std::mutex>& lock);
  void send_rest();
  Came take_in(Assembler& to);
  Result<void> tell(Assembler& of, Receiver& receiver);
  int time_to_wait() const;
  bool is_over(bool listened);
  static std::uint64_t now();

  const std::unique_ptr<Stream> stream_;
  comm::FileDescriptor wake_;
  const WhenFull when_full_;
  const std::uint64_t silence_ns_, silence_there_ns_;
  std::atomic<bool> down_{false};  ///< nothing leaves any more
  std::atomic<bool> shut_{false};  ///< and nobody wants to hear what comes
  std::atomic<bool> finishing_{false}, paused_{false}, silent_{false}, closed_{false};
  std::atomic<std::thread::id> serving_{};
  std::atomic<std::uint64_t> heard_{0};
  std::atomic<bool> spoke_{false};            ///< since the pulse was looked at
  std::atomic<std::uint64_t> said_alive_{0};  ///< when
  Pulse pulse_;                               ///< of the thread that serves
  bool in_the_middle_ = false;                ///< what has come has not all been told
  mutable std::mutex mutex_;
  std::condition_variable has_room_;
  std::deque<Rest> rest_;
  std::size_t rest_bytes_ = 0;
};

}  // namespace troupe::platform::isolation
