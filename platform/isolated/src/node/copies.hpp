#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// At once; more than a program that keeps to the device ABI has.
inline constexpr std::size_t most_copies = 4096;

/// Copies between a device and a program elsewhere: bytes pass through a few slots of memory that the node
/// and the chip's process have in common, several at a time. Plain state: what it wants sent it sends through
/// `Ways`.
class NodeCopies {
 public:
  static constexpr std::size_t slots_each_way = 8;
  static constexpr std::uint64_t bytes = 2 * slots_each_way * part_bytes;
  /// The piece's number, for the chip's process; of those that the program gives it none is so high.
  static constexpr std::uint32_t piece = 0x8000'0000;

  struct Ways {
    /// A call to the chip; its answer goes to `answered`.
    std::function<void(std::uint64_t number, Kind kind, const CopyCall& call)> call;
    /// Bytes that were read, and answers, to the program.
    std::function<void(std::uint64_t number, std::uint64_t offset, std::span<const std::byte> bytes)> part;
    std::function<void(std::uint64_t number, std::int32_t code, const std::string& text)> answer;
    /// Whether more bytes may be read now; come again with `go_on` when that changes.
    std::function<bool()> has_room;
  };
  NodeCopies(std::byte* memory, Ways ways);

  /// False: there is no room now, come again when `has_room`.
  bool put(std::uint64_t number, const PutPart& part, std::span<const std::byte> payload);
  bool has_room() const { return !free_in_.empty(); }
  /// A number is that of one copy until it is answered.
  bool may_put(std::uint64_t number) const {
    const auto found = copies_.find(number);
    return found == copies_.end() || (found->second.to_device && !found->second.is_lent);
  }
  bool may_begin(std::uint64_t number) const { return !copies_.contains(number); }
  /// Copies that have not been answered.
  std::size_t under_way() const { return copies_.size(); }
  void get(std::uint64_t number, const GetCall& call);
  void go_on() { ask_on(); }

  // For bytes that go from a stream straight into a slot, and back: who has one lent gives it back, or has it
  // copied. Some stay for the others.
  std::optional<std::size_t> lend(Way way);
  void give_back(Way way, std::size_t slot) {
    (way == Way::to_device ? free_in_ : free_out_).push_back(slot);
  }
  std::byte* at(std::size_t slot) const { return memory_ + slot * part_bytes; }
  /// The number is that of a copy by way of lent slots from now on.
  void begin_lent(std::uint64_t number);
  void put_lent(std::uint64_t number, const PutPart& part, std::size_t slot, std::uint64_t length);
  using Read = std::function<void(std::int32_t code, const std::string& text)>;
  void read_lent(std::size_t slot, std::uint64_t device, std::uint64_t length, Read read);
  /// False: that was not asked.
  bool answered(std::uint64_t number, std::int32_t code, const std::string& text);

 private:
  struct Copy {
    bool to_device = false, last = false, quiet = false, is_lent = false;
    std::uint64_t device = 0, bytes = 0, asked = 0;  ///< of a get: all, and asked so far
    std::size_t under_way = 0;
    std::int32_t code = 0;
    std::string text = {};
  };
  struct Call {
    std::uint64_t copy = 0, offset = 0, bytes = 0;
    std::size_t slot = 0;
  };
  Copy& put_part(std::uint64_t number, const PutPart& part);
  void call(std::uint64_t copy, bool to_device, std::size_t slot, std::uint64_t device, std::uint64_t offset,
            std::uint64_t length);
  void ask_on();
  void settle(std::uint64_t number);

  std::byte* const memory_;
  const Ways ways_;
  static constexpr std::uint64_t takes_told = 4;
  std::uint64_t last_ = 0, taken_ = 0;
  std::vector<std::size_t> free_in_, free_out_;
  std::map<std::uint64_t, Copy> copies_;  ///< by the program's number
  std::map<std::uint64_t, Call> calls_;   ///< by ours
  std::map<std::uint64_t, Read> reads_;   ///< into slots that are lent, by ours
  std::deque<std::uint64_t> to_ask_;      ///< gets that have not been asked for in full
};

}  // namespace troupe::platform::isolation
