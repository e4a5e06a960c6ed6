#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/buffer_use.hpp"
#include "data/run_hold.hpp"
#include "troupe/actors/protocol.hpp"

namespace troupe::actors {

/// Which chips of a node have copies of which buffers, or of parts of them, and which copy is the newest: the
/// worker's, beside its placement. Says what has to be in host memory before a task may go to an executor,
/// notes what the task will write, and orders copies dropped and stored. Plain state.
///
/// - A copy is good until its bytes are written elsewhere; the first to write them there has it dropped.
/// - What a task writes is promised when it is dispatched: from then on the newest version is with its chip.
/// - Bytes of a piece go from chip to chip directly where the chips can do that, else through host memory.
///   Then several chips have the newest bytes: one of them answers for these, and does not let its copy go
///   before the node has said so.
/// - Where there are several chips, a view that is not all of its buffer is a piece with copies of its own.
///   If a chip has the newest bytes of a piece, every piece that overlaps it is out of date, except a
///   smaller one inside it that was copied home after that write. So a task that views the buffer in
///   another way has the bytes that it sees copied home first, and no more than those.
/// - What was only on a chip that dies is made again where that is possible: the tasks that wrote it run once
///   more. Whoever wants it, or would change what they read, waits until they have ended.
class TROUPE_API Directory {
 public:
  using Then = std::function<void(const std::optional<Error>&)>;
  /// Whether the answer to that request of an executor is still owed.
  using Unfinished = std::function<bool(std::int32_t, Ticket)>;

  /// `remakes`: lost bytes are made again.
  explicit Directory(std::shared_ptr<NodeLink> self, Unfinished unfinished = {}, bool remakes = false);

  void add(ExecutorKind kind, std::string name = {});
  /// Bytes go directly between chips of which the same was said; 0: with none.
  void takes_moves(std::int32_t chip, std::uint64_t how);

  /// Tensor arguments that stay in host memory when the task runs on that chip: parts of buffers, with
  /// several nodes, or where the chip could not have them as they are; and arguments that
  /// it only reads while an unordered task writes them elsewhere. `keeps_strides`: it may not look at the
  /// strides it is given. Sorted.
  std::vector<std::uint32_t> stay_home(const Arguments& args, std::int32_t chip,
                                       bool keeps_strides = false) const;

  /// Bytes that have to come to host memory, or straight to the task's chip.
  struct Missing {
    std::shared_ptr<Buffer> buffer;
    std::optional<std::uint32_t> piece = {};  ///< none: with another node
    std::optional<runtime::Box> part = {};    ///< no more of the piece than that
    std::int32_t to = -1;                     ///< a chip; -1: host memory
  };
  struct Needs {
    std::vector<Missing> home = {};
    bool after_others = false;          ///< it follows a task that writes a buffer of it in host memory
    std::optional<Error> refused = {};  ///< it reads what is lost
  };
  /// Of a task that is about to go to that executor.
  Needs needs(const TaskRequest& request, std::int32_t executor) const;
  /// It goes there, with all it needs. Says in the request which pieces it uses.
  void dispatch(TaskRequest& request, std::int32_t executor);
  /// The chip that has most of what a task reads; -1: none has much.
  std::int32_t nearest(const Arguments& args) const;
  /// Adds to each chip's number the bytes of what a task reads that are there; says how many it reads.
  std::uint64_t present(const Arguments& args, std::vector<std::uint64_t>& on_chips) const;

  enum class Wanted : std::uint8_t {
    newest,      ///< what tasks that were sent to a chip will have written, too
    what_ended,  ///< while none of those has ended, host memory is good as it is
  };
  /// Brings all bytes of a buffer to host memory, then says so, or why not.
  void bring_home(const std::shared_ptr<Buffer>& buffer, Then then, Wanted wanted = Wanted::newest);
  /// What a task needs; nobody is told.
  void bring_home(const Missing& missing);
  /// A chip has stored it: asked to, or because it has no room.
  void stored(std::int32_t chip, const Stored::One& what);
  /// A chip lends what it was asked to pass on, or another has taken that; or they cannot.
  void passed(std::int32_t chip, const Stored::One& what);
  /// A chip has no room for what it wrote: it may put it into host memory if the newest is there and nowhere
  /// else. Its order says so.
  void asks_for_room(std::int32_t chip, PieceOf what);
  /// What was with another node is at home, or cannot be.
  void fetched(std::uint64_t buffer, const std::optional<Error>& error);
  /// Before the chip goes: all that only it has comes home, but for what is being written.
  void store_all(std::int32_t chip, std::function<void()> then);
  /// Tasks that were sent to a chip did not begin there, by ticket: tensors that only these
  /// tasks would have written keep their old bytes, if a copy of those still exists. Sorted.
  void withdrawn(std::int32_t chip, std::span<const Ticket> tasks);
  /// Tasks of a chip that dies, by ticket, did not end: what no other has written there is in host memory as
  /// it was before. Sorted.
  void lost(std::int32_t chip, std::span<const Ticket> tasks);
  /// The chip's memory is gone.
  void down(std::int32_t chip, const Error& reason);

  /// Tasks to be run once more, on any chip: what they wrote was only on one that is gone.
  std::vector<TaskRequest> take_remakes() { return std::exchange(to_remake_, {}); }
  /// Such a task has ended, or goes with its chip. False: it was none.
  bool remade(const TaskResult& result);
  /// The node ends: nothing is made again from now on.
  void recover_no_more() { recovers_ = false; }
  bool recovers() const { return recovers_; }
  /// Whether something is being made again for a run.
  bool remakes_for(RunId run) const;
  void forget(std::uint64_t buffer);
  /// The node ends: what is still with it is lost. Nobody is told.
  void end();

  /// Those who waited for bytes that did not come have been told; who wants them from now on tries again.
  void forget_troubles();
  /// What is to be sent, by chip, before any task.
  std::vector<std::pair<std::int32_t, DataOrders>> take_orders();
  /// Buffers that other nodes have: whoever asks them says `fetched`.
  std::vector<std::shared_ptr<Buffer>> take_fetches() { return std::exchange(fetches_, {}); }

  /// Whether it puts something into host memory.
  bool is_storing(std::int32_t chip) const;
  /// Whether something is only there.
  bool has_newest(std::int32_t chip) const;
  std::size_t size() const { return entries_.size(); }
  /// The pieces of a buffer that are known.
  std::size_t pieces(std::uint64_t buffer) const;
  /// The chip with the newest bytes of a buffer, or of a piece of it; -1: it is at home.
  std::int32_t newest(std::uint64_t buffer) const;

 private:
  /// The task that wrote a piece, when it could be run again: it wrote nothing but what it did not read.
  struct Origin {
    TaskBodyRef body;
    std::weak_ptr<RunHold> run;
    TaskKey key;
  };
  /// Which task wrote a piece last, for who hears that it is lost.
  class Writer {
   public:
    void is(const TaskBody& body);
    std::string_view name() const { return callable_ != nullptr ? callable_->name : own_; }

   private:
    const Callable* callable_ = nullptr;  ///< one of the node's, which stay; null: `own_` it is
    std::string own_;
  };
  /// Bytes on their way from one chip to another.
  struct Passing {
    std::int32_t to = -1, from = -1;
    std::uint64_t number = 0;
  };
  struct Part {
    Piece piece;
    std::vector<std::int32_t> copies = {};  ///< the chips that have one, or are about to
    std::int32_t newest = -1;               ///< the one that answers for the newest; -1: host memory is good
    std::vector<std::int32_t> also = {};    ///< others that have them
    std::vector<Passing> passing = {};
    bool only_by_home = false;  ///< they could not be passed on
    bool there_before =
        false;  ///< `newest` had the bytes from before the first of these tasks, host memory had not
    Ticket since = 0, last = 0;      ///< the first and the latest task that was sent there to write it
    bool home_before = false;        ///< host memory has what it was before the first of them
    std::int32_t displaced_on = -1;  ///< a chip where one task was sent to write it before, without an order
    Ticket displaced = 0;            ///< to them, when host memory had what was before that
    bool coming = false;             ///< it is being brought home,
    std::int32_t from = -1;          ///< by that chip
    bool written_since = false;      ///< and a task that writes it was sent after that was ordered
    std::int32_t put_away_by = -1;   ///< a chip without room puts what it has of it into host memory
    bool lost = false;               ///< its newest bytes are nowhere: they are to be made again
    std::uint64_t written = 0;       ///< when its latest writer was sent, by the directory's clock,
    std::uint64_t used = 0;          ///< and the latest task that has a copy of it
    Origin origin = {};              ///< of the newest bytes
    Writer writer = {};
    std::vector<Then> waiting = {};

    /// Whether host memory is being written there.
    bool moves() const { return coming || put_away_by >= 0; }
    bool has_newest(std::int32_t chip) const {
      return newest >= 0 && (newest == chip || std::find(also.begin(), also.end(), chip) != also.end());
    }
    /// One that has the newest bytes, too, answers for them from now on. Who wrote them has ended.
    void answered_for_by(std::int32_t chip) {
      std::erase(also, chip);
      newest = chip;
      since = last = 0;
      home_before = there_before = false;
      displaced_on = -1;
    }
    /// Host memory has what chips have.
    void is_home() {
      newest = -1;
      also.clear();
      there_before = false;
    }
  };
  /// A task that writes in host memory, until it has ended.
  struct HomeWriter {
    std::uint64_t buffer = 0;
    std::int32_t executor = -1;
    Ticket task = 0;
    RunId run = 0;
    runtime::Box box = {};
    std::uint64_t since = 0;  ///< when it was sent
    bool delays = false;      ///< others than those that follow it may have to wait for it
  };
  struct Entry {
    std::weak_ptr<Buffer> buffer;
    std::uint64_t bytes = 0;
    std::uint32_t version = 0;
    std::uint32_t last_piece = 0;
    std::uint64_t changed = 0;          ///< when it changed outside the pieces that are known, at the latest
    bool nested = false;                ///< pieces of it may meet
    bool fetching = false;              ///< it comes from another node
    std::optional<Error> trouble = {};  ///< why it did not come home, for those who waited
    std::vector<Then> waiting = {};     ///< for what is with another node
    std::vector<Part> parts = {};
  };
  using Entries = std::unordered_map<std::uint64_t, Entry>;
  /// A task that runs once more. Its request has its key.
  struct Remake {
    TaskKey key;
    std::uint64_t written = 0;  ///< when it had been sent first
    std::uint32_t attempts = 1;
    std::int32_t died_on = -1;  ///< the chip that had the bytes last
    bool lost = false;          ///< with a chip, whose end will be told
    Origin origin;
    std::shared_ptr<RunHold> run;
    std::vector<std::shared_ptr<Buffer>> buffers;                  ///< that it works on
    std::vector<std::pair<std::uint64_t, std::uint32_t>> outputs;  ///< buffers and pieces
    std::vector<std::pair<const Buffer*, runtime::Box>> reads = {}, writes = {};
  };
  struct LostWork;  ///< directory_remakes.cpp

  Entry* find(std::uint64_t buffer);
  const Entry* find(std::uint64_t buffer) const;
  Entry* find(const Buffer& buffer);
  const Entry* find(const Buffer& buffer) const { return const_cast<Directory*>(this)->find(buffer); }
  Entry& entry(Buffer& buffer);
  static Part* part_of(Entry& entry, std::uint32_t number);
  static void erase(Entry& entry, const Part& part);
  template <class Which>
  static void erase_parts(Entry& entry, Which which);
  DataOrders& orders(std::int32_t chip);
  void drop_all(Part& part, std::uint64_t buffer, std::int32_t but = -1);
  void order_drop(std::int32_t chip, const PieceOf& what);
  bool goes_directly(const Part& part, const PartUse& use, std::int32_t chip, bool retries) const;
  void pass_on(const std::shared_ptr<Buffer>& buffer, Part& part, std::int32_t to);
  void answer_rooms();
  void hand_over(std::int32_t chip);
  /// Copies of it are out of date, and what of it is not coming is forgotten.
  void outdate(Entry& entry, std::uint64_t buffer);
  bool outdate_met(Entry& entry, std::uint64_t buffer, const PartUse& use, std::uint32_t but);
  Part& place_of(Entry& entry, const PartUse& use, std::int32_t chip);
  void write_on(Entry& entry, Part& part, Buffer& buffer, std::int32_t chip, const TaskRequest& request,
                bool was_elsewhere);
  void note_origin(Part& part, const TaskRequest& request, std::size_t argument, bool can_be_remade);
  static const Operand* workspace_of(const TaskBody& body);
  std::string path_of(std::int32_t chip) const;
  Error lost_bytes(const Buffer& buffer, const Part& part, std::int32_t chip) const;
  bool can_be_remade(const TaskRequest& request, std::int32_t executor) const;
  void plan_remakes(std::int32_t chip);
  LostWork lost_work(std::int32_t chip);
  bool can_be_remade(const LostWork& work, std::uint64_t when) const;
  bool order_remake(const LostWork& work, std::uint64_t when, std::int32_t chip);
  void send_again(Remake& remake);
  void end_remake(const Remake& remake, const std::optional<Error>& error, bool made = false);
  void end_remakes_lost(const Error& why);
  bool is_being_made(std::uint64_t buffer, const Part& part) const;
  bool has_inputs(const Remake& remake) const;
  Remake* remake_of(const TaskKey& key);
  const Remake* remake_of(const TaskKey& key) const { return const_cast<Directory*>(this)->remake_of(key); }
  bool is_obsolete(const Remake& remake) const;
  bool waits_for_remake(const TaskRequest& request, const PartUse& use) const;
  void write_at_home(Buffer& buffer, const PartUse& use);
  bool writes_a_part(std::span<const Operand> tensors, const Buffer& buffer) const;
  void note_home_writer(const PartUse& use, std::int32_t executor, const TaskRequest& request);
  void forget_home_writers();
  bool waits_for_home_writer(const PartUse& use, const TaskRequest& request) const;
  void note(Entry& entry, std::uint64_t buffer, const std::optional<Error>& error);
  static bool any_newest(const Entry& entry);
  void came_home(const Entry& entry);
  void has_put_away(Entry& entry, Part& part, std::int32_t chip, const Stored::One& what);
  void order_store(const std::shared_ptr<Buffer>& buffer, std::uint32_t from, std::int32_t chip, Part& what);

  /// Whether parts of buffers have copies of their own.
  bool in_pieces() const { return chips_ > 1 && !several_nodes(); }
  bool several_nodes() const;
  bool is_far(const Buffer& buffer) const;
  bool works_at_home(const TaskRequest& request, std::int32_t executor, std::size_t argument) const;
  bool home_is_good(const Part& part) const;
  bool must_stay(const Arguments& args, std::size_t argument, std::int32_t chip, bool keeps_strides) const;
  template <class Visit>
  void for_each_use(const TaskRequest& request, std::int32_t executor, Visit visit) const;
  static const Part* used(const Entry& entry, const PartUse& use, std::int32_t chip);
  void add_missing(const Entry& entry, const PartUse& use, std::int32_t executor, const TaskRequest& request,
                   Needs& needs) const;

  std::shared_ptr<NodeLink> self_;
  const std::uint64_t number_;  ///< no other directory of this process ever has it
  Unfinished unfinished_;
  std::vector<ExecutorKind> executors_;
  std::vector<std::string> names_;  ///< of executors
  std::size_t chips_ = 0;
  std::vector<std::uint64_t> moves_;  ///< by executor: with which others bytes go directly
  std::uint64_t passed_ = 0;
  std::vector<HomeWriter> home_writers_;  ///< that had not ended when the latest task came
  std::vector<std::pair<std::int32_t, PieceOf>> rooms_wanted_;  ///< while others write there
  Entries entries_;
  std::vector<std::pair<std::int32_t, DataOrders>> orders_;
  std::vector<std::shared_ptr<Buffer>> fetches_;
  std::vector<std::uint64_t> troubled_;  ///< buffers
  bool recovers_;
  std::uint64_t clock_ = 0, now_ = 0;  ///< tasks that were sent; the one that is being sent, or 0
  std::vector<Remake> remakes_;        ///< under way
  std::uint32_t remake_count_ = 0;
  std::vector<TaskRequest> to_remake_;
};

/// When they were written is remembered for all of the buffer.
template <class Which>
void Directory::erase_parts(Entry& entry, Which which) {
  std::erase_if(entry.parts, [&](const Part& part) {
    if (!which(part)) return false;
    entry.changed = std::max(entry.changed, part.written);
    return true;
  });
  if (entry.parts.size() < 2) entry.nested = false;
}

}  // namespace troupe::actors
