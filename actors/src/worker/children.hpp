#pragma once

#include <caf/actor_clock.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/config.hpp"
#include "troupe/actors/protocol.hpp"
#include "troupe/actors/status.hpp"

namespace troupe::actors {

/// The executors of a worker: the one table of them. In which state and which life each is, and what becomes
/// of one that died: restarted, not without end, or out of use. Plain state.
class TROUPE_API Children {
 public:
  using Time = caf::actor_clock::time_point;

  struct Child {
    ExecutorConfig config;
    ExecutorKind kind = ExecutorKind::chip;
    std::string name;
    Executor handle = {};
    Chip chip = {};      ///< when it is one
    Worker worker = {};  ///< when it is one
    ExecutorState state = ExecutorState::starting;
    std::uint32_t incarnation = 0;
    std::uint32_t credit = 0;
    std::optional<Error> died = {};  ///< of this; restarted when nothing of it is left
    bool gone = false;               ///< nothing of it is left
    std::deque<Time> restarts = {};  ///< within the window
    bool removing = false;
    /// Elsewhere, and not to be had since: how often has been tried.
    std::optional<Time> missing_since = {};
    std::uint32_t tries = 0;
    bool did_not_come = false;  ///< it did not die, but failed to be brought up
    bool speaks = false;        ///< what is told of it is told for all chips of its machine
  };

  /// `node`: the name of the worker they belong to.
  Children(std::string node, RestartLimit limit) : node_(std::move(node)), limit_(limit) {}

  std::int32_t add(const ExecutorConfig& config);
  /// Its actor, of whichever kind it is.
  void spawned(std::int32_t index, Executor handle, Chip chip = {}, Worker worker = {});

  bool knows(std::int32_t index) const {
    return index >= 0 && static_cast<std::size_t>(index) < children_.size();
  }
  const Child& operator[](std::int32_t index) const { return children_[static_cast<std::size_t>(index)]; }
  std::int32_t size() const { return static_cast<std::int32_t>(children_.size()); }
  auto begin() const { return children_.begin(); }
  auto end() const { return children_.end(); }
  /// Whose actor that is, unless it is out of use.
  std::optional<std::int32_t> find(const caf::actor_addr& who) const;
  Result<ChipAccess> chip(std::int32_t index) const;

  /// Whether it is being brought up in that life: what is heard of another is old.
  bool is_starting(std::int32_t index, std::uint32_t life) const;
  bool all_up() const;
  void starting(std::int32_t index) { at(index).state = ExecutorState::starting; }
  /// So much is it able to take, as it says itself.
  void granted(std::int32_t index, std::uint32_t credit) { at(index).credit = credit; }
  void up(std::int32_t index, std::uint32_t credit);
  /// In place: the actor stays, what was on the chip belongs to an earlier life. Returns the new one.
  std::uint32_t reset(std::int32_t index);
  /// It died. Its devices may still write what its tasks write: its fate is decided when nothing is left.
  void lost(std::int32_t index, const Error& reason);
  /// Said before `lost`: it could not be brought up.
  void did_not_come(std::int32_t index) { at(index).did_not_come = true; }
  /// The last word of an actor: whether it was that of this child, not of its predecessor.
  bool note_last_word(std::int32_t index, caf::actor_id whose);

  struct Fate {
    Error died;                         ///< of this
    std::optional<Error> out_of_use;    ///< why it is not restarted
    std::chrono::nanoseconds after{0};  ///< so long nobody tries
    bool told = false;                  ///< that it is away, or another one of its machine
  };
  /// What becomes of a child that died once nothing of it is left; nullopt: there is nothing to decide yet.
  /// One that is restarted has begun its next life.
  std::optional<Fate> bury(std::int32_t index, Time now);

  /// It is to go after its last task. An error: there is none, or it is going already.
  Result<bool> remove(std::int32_t index);
  bool is_leaving(std::int32_t index) const;
  void retire(std::int32_t index);
  /// Whether a child that was retired was the last that the worker could work with, and was not sent away.
  bool was_last(std::int32_t index) const;

  /// Of all, by number.
  std::shared_ptr<const std::vector<std::string>> names() const;
  /// When a run can only use one chip (or node): which; -1: there are others, or none.
  std::int32_t only_chip() const;
  /// " with 2 chips, 1 sub-worker".
  std::string counted() const;
  /// Why the worker cannot start: that child failed.
  Error not_started(std::int32_t index, const Error& error) const;

  void clear() { children_.clear(); }

 private:
  std::optional<Fate> decide(Child& it, Time now) const;
  std::optional<Fate> wait_for(Child& it, Fate fate, Time now) const;
  bool speaks(Child& it);
  Child& at(std::int32_t index) { return children_[static_cast<std::size_t>(index)]; }

  std::string node_;
  RestartLimit limit_;
  std::deque<Child> children_;
  std::int32_t sub_workers_ = 0;
  mutable std::shared_ptr<const std::vector<std::string>> names_;
};

}  // namespace troupe::actors
