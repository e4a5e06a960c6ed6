#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "wire/frame.hpp"

namespace troupe::platform::isolation {

/// One end of a socket pair that frames go over. Sending never waits for the other end to read, unless it is
/// asked to: what the socket does not take is kept, and leaves when it does.
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
  };
  enum class WhenFull : std::uint8_t { go_down, wait };

  Link(comm::FileDescriptor socket, WhenFull when_full);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// From any thread. False: it did not leave, because the link is down or (nothing else is wrong then) there
  /// are no descriptors for what should go along. Those stay the caller's.
  bool send(Kind kind, std::uint64_t number, std::span<const std::byte> payload,
            std::span<const int> descriptors = {});
  /// Tells what comes until the other end has gone (`also`: or this descriptor can be read), somebody calls
  /// `shut`, or something that is no frame comes: then the error says so.
  Result<void> serve(Receiver& receiver, int also = -1);
  /// Ends it for both ends. From any thread.
  void shut() noexcept;
  /// `serve` returns once everything has left.
  void finish() noexcept;
  /// Lets `serve` call `caught_up`.
  void wake() noexcept;
  bool is_down() const { return down_.load(std::memory_order_acquire); }
  /// Rises with each arrival.
  std::uint64_t heard() const { return heard_.load(std::memory_order_relaxed); }

 private:
  struct Rest {
    std::vector<std::byte> bytes;
    std::size_t sent = 0;
    std::vector<comm::FileDescriptor> descriptors;
  };
  bool keep(const FrameHeader& header, std::span<const std::byte> payload, std::size_t sent,
            std::span<const int> descriptors, std::unique_lock<std::mutex>& lock);
  void send_rest();
  /// 0: the other end has closed; negative: nothing there.
  int take_in(Assembler& to);
  Result<void> tell(Assembler& of, Receiver& receiver);

  const comm::FileDescriptor socket_;
  comm::FileDescriptor wake_;
  const WhenFull when_full_;
  std::atomic<bool> down_{false};  ///< nothing leaves any more
  std::atomic<bool> shut_{false};  ///< and nobody wants to hear what comes
  std::atomic<bool> finishing_{false};
  std::atomic<std::thread::id> serving_{};
  std::atomic<std::uint64_t> heard_{0};
  std::mutex mutex_;
  std::condition_variable has_room_;
  std::deque<Rest> rest_;
  std::size_t rest_bytes_ = 0;
};

}  // namespace troupe::platform::isolation
