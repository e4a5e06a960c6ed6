#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/container/small_vector.hpp>

#include "troupe/actors/protocol.hpp"
#include "troupe/runtime/export.hpp"

namespace troupe::actors {

class Buffer;

struct PieceOfHash {
  std::size_t operator()(const PieceOf& id) const noexcept {
    return static_cast<std::size_t>(id.buffer ^ (std::uint64_t{id.piece} << 40U));
  }
};

/// The bytes of a piece of a buffer in a chip's memory, without the gaps between them.
struct Copy {
  enum class State : std::uint8_t {
    empty,   ///< has no bytes of the buffer's yet
    coming,  ///< they are being copied in
    here,
  };
  std::uint64_t buffer = 0;  ///< its number
  Piece piece = {};
  std::uint64_t bytes = 0;
  std::uint64_t address = 0;  ///< 0: has no memory yet
  std::uint64_t used_at = 0;  ///< rises with each use
  std::uint32_t users = 0;    ///< tasks that were given to the chip and have not ended
  std::uint32_t writers = 0;  ///< of them
  std::uint32_t busy = 0;     ///< tasks on the device that use it
  State state = State::empty;
  bool written = false;                    ///< by a task that was launched: host memory has not seen it,
  std::vector<runtime::Box> at_home = {};  ///< but for these parts
  bool asked = false;                      ///< the node was asked for leave to put it into host memory
  bool stuck = false;    ///< that did not work: until a task has been told that there is no room
  bool leaving = false;  ///< on its way to host memory
  bool goes = false;     ///< and then its memory does
  std::weak_ptr<Buffer> of = {};
  bool pinned = false;    ///< it stays until it is out of date
  bool detached = false;  ///< out of date: goes with its last user
};

/// How a task uses a copy.
struct CopyUse {
  Copy* copy = nullptr;
  std::uint16_t argument = 0;  ///< the first that views it
  bool reads = false, writes = false;
};

/// The copies that a chip has, and memory of those that went, which the next of their size get. Plain state;
/// allocates nothing itself.
class TROUPE_API Copies {
 public:
  /// Of a piece of a buffer, made when there is none.
  Copy& of(std::uint64_t buffer, const Piece& piece);
  Copy* find(PieceOf id);
  /// Nothing that comes sees it any more.
  void drop(PieceOf id);

  void begin(const CopyUse& use);
  void end(const CopyUse& use);
  /// Nobody uses it, or brings it: it goes if it is out of date.
  void settle(Copy& copy);

  /// Memory of a copy that went, of this size; 0: there is none.
  std::uint64_t reuse(std::uint64_t bytes);
  /// All of it, surplus included, for the caller to free.
  std::vector<std::uint64_t> take_spare();
  bool has_spare() const { return spare_bytes_ != 0 || !surplus_.empty(); }
  /// Memory that no copy is likely to need soon, for the caller to free.
  std::vector<std::uint64_t> take_surplus();

  /// Of all memory that copies have, or had.
  std::vector<std::uint64_t> addresses() const;
  /// In the chip's memory, spare included.
  std::uint64_t bytes() const { return bytes_; }
  void took(Copy& copy, std::uint64_t address);
  /// Whose memory may go, the longest unused first: no task on the device uses them.
  std::vector<Copy*> idle() const;
  /// Whose memory may not, the largest first.
  std::vector<const Copy*> pinned() const;
  /// It has no memory any more; what it had is in host memory.
  void give_up_memory(Copy& copy);
  std::size_t size() const { return copies_.size() + detached_.size(); }
  void clear();

 private:
  std::unordered_map<PieceOf, std::unique_ptr<Copy>, PieceOfHash> copies_;
  std::vector<std::unique_ptr<Copy>> detached_;
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> spare_;  ///< addresses, by bytes
  std::uint64_t spare_bytes_ = 0, bytes_ = 0, clock_ = 0;
  std::vector<std::uint64_t> surplus_;
};

/// The uses of one task; they end with it.
class TROUPE_API CopyUses {
 public:
  CopyUses() = default;
  explicit CopyUses(Copies& of) : copies_(&of) {}
  CopyUses(CopyUses&& other) noexcept
      : copies_(other.copies_),
        on_device_(std::exchange(other.on_device_, false)),
        uses_(std::move(other.uses_)) {
    other.uses_.clear();
  }
  CopyUses& operator=(CopyUses&& other) noexcept {
    end();
    copies_ = other.copies_;
    on_device_ = std::exchange(other.on_device_, false);
    uses_ = std::move(other.uses_);
    other.uses_.clear();
    return *this;
  }
  ~CopyUses() { end(); }

  /// One use for each copy.
  void add(const CopyUse& use) {
    for (auto& known : uses_) {
      if (known.copy != use.copy) continue;
      known.copy->writers += use.writes && !known.writes ? 1 : 0;
      known.reads = known.reads || use.reads;
      known.writes = known.writes || use.writes;
      return;
    }
    copies_->begin(use);
    uses_.push_back(use);
  }
  /// The task goes to the device; or it has come back.
  void launched(bool now) {
    if (std::exchange(on_device_, now) == now) return;
    for (const auto& use : uses_) now ? ++use.copy->busy : --use.copy->busy;
  }
  /// From now on the copies have what the task leaves there.
  void take_effect() {
    for (const auto& use : uses_) {
      use.copy->state = Copy::State::here;
      if (!use.writes) continue;
      use.copy->written = true;
      use.copy->at_home.clear();
    }
  }
  void end() {
    launched(false);
    for (const auto& use : uses_) copies_->end(use);
    uses_.clear();
  }
  const boost::container::small_vector<CopyUse, 4>& all() const { return uses_; }

 private:
  Copies* copies_ = nullptr;
  bool on_device_ = false;
  boost::container::small_vector<CopyUse, 4> uses_;
};

}  // namespace troupe::actors
