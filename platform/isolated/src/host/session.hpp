#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/bulk.hpp"
#include "host/pieces.hpp"
#include "host/staging.hpp"
#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// What a call was answered.
struct Answer {
  std::int32_t code = 0;
  std::string text;
  std::vector<std::byte> more;
  std::vector<comm::FileDescriptor> descriptors = {};

  static Answer of(const Error& error) { return {error.code().value, error.message(), {}}; }
};

/// "kernel 'k' of task 't' crashed: …": of what a chip's process died, which left that page.
std::string death_of(const Page& page, const std::string& given_up, const std::string& how,
                     const std::string& garbage);

/// One life of a chip's process, as this side knows it: the link, the memory that both have, and who waits
/// for an answer. Thread-safe.
class Session {
 public:
  static constexpr std::size_t page_bytes = sizeof(Page);
  static constexpr std::uint64_t copy_bytes = std::uint64_t{1} << 20U;  ///< of staging, for copies
  static constexpr std::uint64_t staging_bytes = std::uint64_t{16} << 20U;

  /// An error: no memory for it.
  static Result<std::shared_ptr<Session>> make(Peer& peer, std::uint64_t silence_ns,
                                               std::shared_ptr<MappableMemory> memory);
  Session(Peer& peer, std::uint64_t silence_ns, std::shared_ptr<MappableMemory> memory, SharedPages page,
          SharedPages staging);

  Link link;
  Pieces pieces;
  Staging staging;  ///< of the context's mutex
  const Page& page() const { return *reinterpret_cast<const Page*>(page_.base()); }
  std::byte* copies() const { return staging_.base(); }
  std::mutex copying;  ///< held while `copies` is used

  struct Patience {
    std::uint64_t silence_ms = 0;              ///< after so long without a sign the process is given up
    std::optional<std::uint64_t> all_ms = {};  ///< after so long the call is given up, with BUSY
  };
  /// Calls, and waits for the answer.
  Answer call(Kind kind, const Writer& arguments, Patience patience, std::span<const int> descriptors = {});
  /// Copies, where no memory is shared: the bytes go along, or come back.
  Answer put(std::uint64_t device, std::span<const std::byte> bytes, Patience patience);
  /// The same of one part that fits, as this side knows: nobody waits. What goes wrong all the same ends it.
  void put_quietly(std::uint64_t device, std::span<const std::byte> bytes, Patience patience);
  Answer get(std::uint64_t device, std::span<std::byte> bytes, Patience patience);
  /// Why there was no connection for many bytes; once.
  std::optional<Error> why_no_bulk() { return bulk_.why_not(); }
  /// Bytes of a `get` have come. False: nobody asked for them.
  bool got(Frame& frame);
  /// Until only a little of what was said has not left. False: it is over, maybe because nothing was taken
  /// for too long.
  bool wait_for_room(Patience patience);
  /// The first call.
  Answer set_up(const SetUp& facts, const std::string& library, const std::string& where, Patience patience);
  /// False: nobody asked for it.
  bool answered(Frame& frame);
  /// There will be no further answers: `otherwise` is what everybody who waits gets.
  void over(const Answer& otherwise);
  /// Ends the process, for this reason.
  void give_up(const std::string& why);
  std::string given_up_for() const;
  /// The other end has told of what the device died. What it says first counts.
  void obituary(std::string_view text);
  std::string died_of() const;

 private:
  struct Waiting {
    std::condition_variable answered;
    std::optional<Answer> answer;
    std::span<std::byte> wants = {};  ///< bytes to there
  };
  /// Once all that was put quietly before has been made: many bytes go another way, and would overtake it.
  Answer settle(Patience patience);
  /// Under the lock: the number of a call; none: it is over.
  std::optional<std::uint64_t> open(Waiting& waiting);
  Answer wait_for(Waiting& waiting, std::uint64_t number, Patience patience,
                  std::unique_lock<std::mutex>& lock);
  /// For transfers: as long as the other end still says something.
  GoOn while_it_lives(Patience patience);
  /// Under the lock: a connection for many bytes is lost. Over the first one the other end says why.
  void hear_why(const Error& lost, Patience patience, std::unique_lock<std::mutex>& lock);
  void send_parts(std::uint64_t number, std::uint64_t device, std::span<const std::byte> bytes,
                  Patience patience);
  /// To another machine: when there is room, so that little is kept here however many threads have much to
  /// say.
  bool send_in_turn(Kind kind, std::uint64_t number, std::span<const std::byte> payload, Patience patience);

  SharedPages page_, staging_;
  Bulk bulk_;
  std::atomic<std::uint64_t> put_quietly_{0};  ///< so many have been sent
  std::atomic<std::uint64_t> settled_{0};      ///< and so many of them are sure to have been made
  std::mutex turn_;                            ///< of those who have much to say
  mutable std::mutex mutex_;
  std::condition_variable ended_;  ///< there will be no further answers
  std::uint64_t last_number_ = 0;
  std::unordered_map<std::uint64_t, Waiting*> waiting_;
  std::optional<Answer> otherwise_;
  std::string given_up_for_, died_of_;
};

}  // namespace troupe::platform::isolation
