#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/buffer_use.hpp"
#include "troupe/actors/protocol.hpp"

namespace troupe::actors {

/// Which chips of a node have copies of which buffers, and which copy is the newest: the worker's, beside its
/// placement. Says what has to be in host memory before a task may go to an executor, notes what the task
/// will write, and orders copies dropped and stored. Plain state.
///
/// - A copy is good until the buffer is written elsewhere; the first to write it there has the copy dropped.
/// - What a task writes is promised when it is dispatched: from then on the newest version is with its chip.
/// - Bytes go from chip to chip through host memory, once for all who want them there.
class TROUPE_API Directory {
 public:
  using Then = std::function<void(const std::optional<Error>&)>;
  /// Whether the answer to that request of an executor is still owed.
  using Unfinished = std::function<bool(std::int32_t, Ticket)>;

  explicit Directory(std::shared_ptr<NodeLink> self, Unfinished unfinished = {})
      : self_(std::move(self)), unfinished_(std::move(unfinished)) {}

  void add(ExecutorKind kind);

  /// Tensor arguments that stay in host memory when the task runs on that chip. With several chips,
  /// or nodes, buffers that a task sees in parts: others may be busy with the other parts elsewhere. And
  /// what it only reads, without an order to who writes it elsewhere right now. Sorted.
  std::vector<std::uint32_t> stay_home(const Arguments& args, std::int32_t chip) const;

  struct Needs {
    std::vector<std::shared_ptr<Buffer>> home = {};  ///< are to be brought to host memory first
    bool after_others = false;          ///< it follows a task that writes a buffer of it in host memory
    std::optional<Error> refused = {};  ///< it reads what is lost
  };
  /// Of a task that is about to go to that executor.
  Needs needs(const TaskRequest& request, std::int32_t executor) const;
  /// It goes there: with all it needs.
  void dispatch(const TaskRequest& request, std::int32_t executor);
  /// The chip that has most of what a task reads; -1: none has much.
  std::int32_t nearest(const Arguments& args) const;

  enum class Wanted : std::uint8_t {
    newest,      ///< what tasks that were sent to a chip will have written, too
    what_ended,  ///< while none of those has ended, host memory is good as it is
  };
  /// Brings bytes to host memory, then says so, or why not.
  void bring_home(const std::shared_ptr<Buffer>& buffer, Then then, Wanted wanted = Wanted::newest);
  /// A chip has stored it: asked to, or because it has no room.
  void stored(std::int32_t chip, std::uint64_t buffer, const std::optional<Error>& error);
  /// What was with another node is at home, or cannot be.
  void fetched(std::uint64_t buffer, const std::optional<Error>& error);
  /// Before the chip goes: all that only it has comes home, but for what is being written.
  void store_all(std::int32_t chip, std::function<void()> then);
  /// Tasks that were sent to a chip did not begin there, by ticket: what they alone were to write is as it
  /// was before, if that is still anywhere. Sorted.
  void withdrawn(std::int32_t chip, std::span<const Ticket> tasks);
  /// Tasks of a chip that dies, by ticket, did not end: what no other has written there is in host memory as
  /// it was before. Sorted.
  void lost(std::int32_t chip, std::span<const Ticket> tasks);
  /// The chip's memory is gone.
  void down(std::int32_t chip, const Error& reason);
  void forget(std::uint64_t buffer);
  /// The node ends: what is still with it is lost. Nobody is told.
  void end(const Error& reason);

  /// Those who waited for bytes that did not come have been told; who wants them from now on tries again.
  void forget_troubles();
  /// What is to be sent, by chip, before any task.
  std::vector<std::pair<std::int32_t, DataOrders>> take_orders();
  /// Buffers that other nodes have: whoever asks them says `fetched`.
  std::vector<std::shared_ptr<Buffer>> take_fetches() { return std::exchange(fetches_, {}); }

  /// Whether something is only there.
  bool has_newest(std::int32_t chip) const;
  std::size_t size() const { return entries_.size(); }
  /// Of a buffer with a copy: the chip with the newest; -1: it is at home.
  std::int32_t newest(std::uint64_t buffer) const;

 private:
  struct Entry {
    std::weak_ptr<Buffer> buffer;
    std::uint32_t version = 0;
    std::vector<std::int32_t> copies;   ///< the chips that have one
    std::int32_t newest = -1;           ///< the one that alone has the newest; -1: it is at home
    Ticket since = 0, last = 0;         ///< the first and the latest task that was sent there to write it
    std::int32_t home_chip = -1;        ///< where the latest task is that writes it in host memory
    Ticket home_task = 0;               ///< that task
    bool home_before = false;           ///< host memory has what it was before that task
    bool coming = false;                ///< it is being brought home,
    std::int32_t from = -1;             ///< by that chip; -1: from another node
    bool written_since = false;         ///< and a task that writes it was sent after that was ordered
    std::optional<Error> trouble = {};  ///< why it did not come home, for those who waited
    std::vector<Then> waiting;
  };
  Entry* find(std::uint64_t buffer);
  const Entry* find(std::uint64_t buffer) const;
  Entry& entry(Buffer& buffer);
  DataOrders& orders(std::int32_t chip);
  void drop(std::int32_t chip, std::uint64_t buffer) { orders(chip).drops.push_back(buffer); }
  void drop_all(Entry& entry, std::uint64_t buffer, std::int32_t but = -1);
  void write_on(Entry& entry, Buffer& buffer, std::int32_t chip, Ticket ticket);
  void write_at_home(Buffer& buffer);
  static void tell(Entry& entry, const std::optional<Error>& error);
  /// Nothing comes from that chip any more: who waited for it, to be told.
  static std::vector<Then> give_up(Entry& entry, std::int32_t chip);
  void note(Entry& entry, std::uint64_t buffer, const std::optional<Error>& error);
  bool is_far(const Buffer& buffer) const;
  bool is_at_home(const TaskRequest& request, std::int32_t executor, const BufferUse& use) const;
  bool home_is_good(const Entry& entry) const;

  std::shared_ptr<NodeLink> self_;
  Unfinished unfinished_;
  std::vector<ExecutorKind> executors_;
  std::size_t chips_ = 0;
  std::unordered_map<std::uint64_t, Entry> entries_;
  std::vector<std::pair<std::int32_t, DataOrders>> orders_;
  std::vector<std::shared_ptr<Buffer>> fetches_;
  std::vector<std::uint64_t> troubled_;  ///< buffers
};

}  // namespace troupe::actors
