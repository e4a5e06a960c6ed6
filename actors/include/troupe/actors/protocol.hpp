#pragma once

// Every typed interface and every message between actors. Reading it top to bottom gives the system:
//
//   program ──Submit────────▶ run ──Ready──▶ worker ──Execute──▶ executor (chip, sub-worker, worker)
//           ◀──Wake, Credit──     ◀─RunResults─      ◀─Results──
//   worker ──DataOrders──▶ chip ──Stored, RoomWanted──▶ worker ◀──BringHome── views, runs, other nodes
//   worker ──Form, Dissolve──▶ communicator ──window messages──▶ chips
//
// Messages are plain structs, moved and never copied on the way (handlers take T& and move): a message
// belongs to the actor that handles it. Hot messages are batches and carry their own correlation (`TaskKey`,
// tickets): nothing on the path of a task is a CAF request. Tensor bytes never ride in messages. Requests of
// the control plane answer with `Result<T>`; a request is always answered, also by an actor that ends.

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/config.hpp"
#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/run_outcome.hpp"
#include "troupe/actors/status.hpp"
#include "troupe/actors/submission.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/access.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {
class HostSegment;
}
namespace troupe::actors {

class RunHold;  ///< what a run keeps as long as tasks may work on it
struct Loan;    ///< bytes of a chip, while another copies them

using RunId = std::uint64_t;   ///< unique within a system
using Ticket = std::uint64_t;  ///< given by a worker to one request on one executor, rising

/// One execution of one task: `attempt` tells a retry from the answer of the attempt before.
struct TaskKey {
  RunId run = 0;
  TaskNumber task = 0;
  std::uint32_t member = 0;  ///< of a group
  std::uint32_t attempt = 0;
  friend bool operator==(const TaskKey&, const TaskKey&) = default;
};

/// A part of a buffer that has copies of its own: its number among those of its buffer, never used again, and
/// its bytes there. Number 0 is all of it.
struct Piece {
  std::uint32_t number = 0;
  runtime::Box box = {};
};
/// The piece of its buffer that a tensor argument uses on a chip.
struct PieceUse {
  std::uint32_t argument = 0;
  Piece piece;
};

/// A task that may run.
struct TaskRequest {
  TaskKey key;
  TaskBodyRef body;
  std::int32_t executor = -1;  ///< where it has to run; -1: the worker chooses
  std::int8_t priority = 0;
  bool retries = false;       ///< it is tried again if its chip dies
  std::uint32_t members = 1;  ///< of a group; the worker makes as many requests of it
  Ticket ticket = 0;          ///< set by the worker
  /// In-order dispatch: tasks of this run, queued before on the same executor, that must have succeeded;
  /// sorted.
  std::vector<TaskNumber> depends;
  /// What keeps the buffers of its arguments.
  std::shared_ptr<RunHold> memory;
  /// Tensor arguments that stay in host memory: the device brings them and takes them back itself. Sorted.
  std::vector<std::uint32_t> at_home = {};
  /// Set by the worker, for arguments that do not use all of their buffer: sorted.
  std::vector<PieceUse> pieces = {};
};

enum class Outcome : std::uint8_t {
  done,
  failed,     ///< ran and failed, or could not be started
  skipped,    ///< not run: something it depends on in the executor's queue did not succeed
  lost,       ///< its executor died; whether it ran is unknown
  cancelled,  ///< taken back before or while it ran
};

struct TaskResult {
  TaskKey key;
  Ticket ticket = 0;
  std::int32_t executor = -1;  ///< set by the worker
  Outcome outcome = Outcome::done;
  std::optional<Error> error;
  std::uint64_t inside = 0;           ///< of a program: tasks that it, and programs below it, submitted
  bool untouched = false;             ///< it did not begin: what it was to write is as it was
  std::int64_t began = 0, ended = 0;  ///< of a task of a chip, by its host's clock; both 0: not known
};

// --- executor: what chip, sub-worker and worker have in common -----------------------------------

/// A piece of a buffer, by their numbers.
struct PieceOf {
  std::uint64_t buffer = 0;
  std::uint32_t piece = 0;
  friend bool operator==(const PieceOf&, const PieceOf&) = default;
};
/// Results of a batch of requests, to the actor that sent them. `executor` is the number the worker gave. A
/// request is answered when nothing of it touches memory any more. `gone` says the same for all requests of
/// an executor that has ended.
struct Results {
  std::int32_t executor = -1;
  std::uint32_t incarnation = 0;
  std::vector<TaskResult> results;
  std::uint64_t gone = 0;  ///< the actor, by its number, that has ended; 0: none
  /// Of a chip, since it last said so: large copies to it, and how long they took.
  std::uint64_t brought_bytes = 0;
  std::int64_t brought_in = 0;
};
/// From a chip: what it was asked to store, or had no room for, is in host memory, or cannot be; or what it
/// was asked to pass on to another chip is on its way there. Also sent, with `executor` -1, for a buffer that
/// another System had.
struct Stored {
  std::int32_t executor = -1;
  std::uint32_t incarnation = 0;
  struct One {
    std::uint64_t buffer = 0;  ///< its number
    std::uint32_t piece = 0;
    std::optional<Error> error = {};
    bool for_room = false;  ///< it had no room for it, and now that it may, it has put it there, or not
    /// It was asked to lend the piece instead, or to take it from who has lent it: the order's number.
    std::uint64_t passing = 0;
    bool taken = false;               ///< it was asked to take it, and has, unless there is an error
    std::shared_ptr<Loan> loan = {};  ///< it has lent it; null: it cannot
  };
  std::vector<One> pieces;
};
/// From a chip that has no room for its next task: may it put these pieces, which tasks wrote there, into
/// host memory? Answered with `DataOrders`. Until then it does not touch what others may read or write there.
struct RoomWanted {
  std::int32_t executor = -1;
  std::uint32_t incarnation = 0;
  std::vector<PieceOf> pieces;
};
/// Takes the answers of executors.
using ResultSink =
    caf::typed_actor<caf::reacts_to<Results>, caf::reacts_to<Stored>, caf::reacts_to<RoomWanted>>;

/// Run these, in this order as far as they depend on each other; answers with `Results`, each request once.
struct Execute {
  std::vector<TaskRequest> requests;
};
/// Give up on tasks of a run: those not started are answered `cancelled`, running ones are asked to end.
/// `task` 0: all of the run.
struct Cancel {
  RunId run = 0;
  TaskNumber task = 0;
};
struct Describe {};
struct GetStatus {};
/// Why a task waits, in words.
struct Why {
  RunId run = 0;
  TaskNumber task = 0;
};

using Executor =
    caf::typed_actor<caf::reacts_to<Execute>,                           // the hot one
                     caf::reacts_to<Cancel>,                            //
                     caf::replies_to<Describe>::with<ExecutorInfo>,     // what it is, how much it takes
                     caf::replies_to<GetStatus>::with<ExecutorStatus>,  // what it is doing now
                     caf::replies_to<Why>::with<std::string>>;          //

// --- chip ----------------------------------------------------------------------------------------

/// created → ready: sets the device up and reports what it is.
struct BringUp {};
/// Any state but finalized → created: everything on the chip is given up; its memory has the next
/// `incarnation` from now on. Tasks that were there are not answered: the sender accounts for them.
struct ResetChip {
  std::uint32_t incarnation = 0;
};
/// Any state → finalized, for good; the actor ends.
struct FinalizeChip {};
// Messages about device memory name the life of the chip (`incarnation`) they are meant for: they may still
// be on their way when the chip has been reset, and addresses and windows of another life mean nothing in
// this one.
struct DeviceMalloc {
  std::uint64_t bytes = 0;
  std::uint32_t incarnation = 0;
};
struct DeviceFree {
  std::uint64_t address = 0;
  std::uint32_t incarnation = 0;
};
/// Bytes move by the device, many of them on a thread that may block, so that a large copy does not hold up
/// other actors. The copy uses the host memory until the answer, which may come after the chip's end.
struct DeviceCopy {
  bool to_device = true;
  std::uint64_t address = 0;
  void* host = nullptr;
  std::uint64_t bytes = 0;
  std::uint32_t incarnation = 0;
};
/// Between a named buffer and host shared memory.
struct StageBuffer {
  bool to_device = true;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::shared_ptr<const comm::HostSegment> segment;
  std::uint32_t incarnation = 0;
};
/// One rank's part of a domain, split-phase; see communicator.
struct WindowCreate {
  troupe_window_spec spec{};
  std::uint32_t incarnation = 0;
  std::shared_ptr<const std::vector<troupe_window_gap>> gaps = nullptr;  ///< keeps the gaps of the spec alive
};
/// `memory` keeps the blob's descriptor open, also when the chip has ended.
struct WindowOffer {
  std::uint64_t window = 0;
  troupe_window_blob blob{};
  std::shared_ptr<const comm::FileDescriptor> memory = nullptr;
};
/// First to every member with all blobs, then, when all have imported, to every member with `commit`: a
/// window's blob is good for imports only until its owner commits.
struct WindowImport {
  std::uint64_t window = 0;
  bool commit = false;                                                     ///< the second time, without blobs
  std::vector<std::shared_ptr<const comm::FileDescriptor>> memories = {};  ///< of the blobs
  std::vector<troupe_window_blob> blobs;                                   ///< by rank
  std::uint32_t incarnation = 0;
};
struct WindowAbort {
  std::uint64_t window = 0;
  std::int32_t code = 0;
  std::uint32_t rank = 0;
  std::uint32_t incarnation = 0;
};
struct WindowRelease {
  std::uint64_t window = 0;
  std::uint32_t incarnation = 0;
};

/// About copies of buffers in the chip's memory, ordered with `Execute`: what was asked to run before sees
/// the bytes as they were.
struct DataOrders {
  /// Bring the newest bytes of `what` to host memory: `Stored`. They are with the chip's copy of `from`.
  struct Store {
    std::shared_ptr<Buffer> buffer;
    std::uint32_t from = 0;
    Piece what;
    std::uint64_t passing = 0;  ///< not to host memory: lend it, under this number
  };
  /// Copy a piece from the chip that has lent it: `Stored`.
  struct Take {
    std::shared_ptr<Buffer> buffer;
    Piece what;
    std::shared_ptr<Loan> loan;  ///< null: it is out of date already; the answer is owed all the same
    std::uint64_t passing = 0;
  };
  /// The answer to `RoomWanted`. If it may, the chip says `Stored` when it has, or has not.
  struct Room {
    PieceOf piece;
    bool may = false;
  };
  std::vector<PieceOf> drops;  ///< copies that are out of date, or not wanted
  std::vector<Store> stores;
  std::vector<Room> rooms;
  std::vector<Take> takes;  ///< after the drops
  bool at_once = false;     ///< do not wait for tasks that write them: those are given up
};

using Chip = Executor::extend<
    caf::reacts_to<DataOrders>,                                       // hot
    caf::replies_to<BringUp>::with<Result<ExecutorInfo>>,             //
    caf::replies_to<ResetChip>::with<Result<bool>>,                   //
    caf::replies_to<FinalizeChip>::with<Result<bool>>,                //
    caf::replies_to<DeviceMalloc>::with<Result<std::uint64_t>>,       // the address
    caf::replies_to<DeviceFree>::with<Result<bool>>,                  //
    caf::replies_to<DeviceCopy>::with<Result<bool>>,                  //
    caf::replies_to<StageBuffer>::with<Result<bool>>,                 //
    caf::replies_to<WindowCreate>::with<Result<WindowOffer>>,         // phase 1: own window, its blob
    caf::replies_to<WindowImport>::with<Result<troupe_window_view>>,  // phase 2: peers' blobs, commit
    caf::reacts_to<WindowAbort>,                                      // any phase: ends every wait on it
    caf::reacts_to<WindowRelease>>;                                   // no task uses it any more

// --- program and run -----------------------------------------------------------------------------

/// To a program: so many of its tasks have ended since it began.
struct Credit {
  std::uint64_t ended = 0;
};
/// To a program: the wait that it registered under `token` is over, or has failed.
struct Wake {
  std::uint64_t token = 0;
  std::optional<Error> error = {};
  std::uint64_t value = 0;  ///< read: the buffer's address
  std::uint64_t ended = 0;  ///< as in `Credit`
  std::shared_ptr<const DomainInfo> domain = {};
};
/// To a program: its run is being given up; end.
struct StopProgram {
  Error reason;
};
using ProgramActor =
    caf::typed_actor<caf::reacts_to<Credit>, caf::reacts_to<Wake>, caf::reacts_to<StopProgram>>;

/// The program waits: answered by `Wake` with the token.
struct Await {
  enum class What : std::uint8_t { task, drained, room, data };
  What what = What::task;
  std::uint64_t token = 0;
  TaskNumber task = 0;      ///< task, data; drained: everything up to it
  std::uint64_t limit = 0;  ///< room: unfinished tasks below this
};
/// Lines of the program, in program order, and the wait that follows them.
struct Submit {
  std::vector<Submission> lines;
  std::vector<std::shared_ptr<BufferHold>> holds;  ///< buffers to keep until the run ends
  std::optional<Await> await;
};
/// The program has copied what it read (or will not).
struct ReadDone {
  TaskNumber task = 0;
};
/// The program has returned (or thrown): no submit follows.
struct ProgramEnded {
  std::optional<Error> error;
};
/// Give up: no task is started any more, running tasks are asked to end, the run ends with `reason`.
struct CancelRun {
  Error reason;
};
/// From the worker: where tasks went (only for batches that asked).
struct Placed {
  std::vector<std::pair<TaskNumber, std::int32_t>> tasks;
};
/// From the worker: how tasks ended.
struct RunResults {
  std::vector<TaskResult> results;
};

/// The program wants a domain: answered by `Wake`.
struct OpenDomain {
  std::uint64_t token = 0;
  DomainSpec spec;
};
/// The program's scope of a domain has ended.
struct ReleaseDomain {
  std::uint64_t domain = 0;
};
/// The program has come to the barrier of a domain, for one of its ranks: answered by `Wake` when all ranks
/// have.
struct EnterBarrier {
  std::uint64_t token = 0;
  std::uint64_t domain = 0;
  std::uint64_t epoch = 0;
  std::uint32_t rank = 0;
};
/// The program that was started for the run: where `Credit`, `Wake` and `StopProgram` go.
struct SetDriver {
  ProgramActor driver;
};

using Run = caf::typed_actor<caf::reacts_to<Submit>,                    // hot
                             caf::reacts_to<RunResults>,                // hot
                             caf::reacts_to<Placed>,                    //
                             caf::reacts_to<ReadDone>,                  //
                             caf::reacts_to<ProgramEnded>,              //
                             caf::reacts_to<CancelRun>,                 //
                             caf::replies_to<SetDriver>::with<bool>,    //
                             caf::reacts_to<OpenDomain>,                //
                             caf::reacts_to<ReleaseDomain>,             //
                             caf::reacts_to<EnterBarrier>,              //
                             caf::replies_to<Why>::with<std::string>>;  //

// --- communicator --------------------------------------------------------------------------------

/// Forms the domain over its chips: all windows or none.
struct Form {};
/// One more (or one less) unfinished task names the domain.
struct Hold {
  std::int32_t delta = 0;
};
/// A member's chip was reset: as if it had died, for the domain.
struct MemberReset {
  std::int32_t chip = -1;
};
/// A rank has come to the barrier of this epoch: answered with the barrier's number (from 1) when all ranks
/// have, with `peer_lost` when one never will. `run`: the run of the program that waits.
struct Barrier {
  std::uint64_t epoch = 0;
  std::uint32_t rank = 0;
  RunId run = 0;
};
/// A run is over: a barrier at which its program still waits does not count it as arrived.
struct Withdraw {
  RunId run = 0;
};
/// The scope of the domain ended, or its run: released once no task uses it.
struct Dissolve {};

using Communicator = caf::typed_actor<caf::replies_to<Form>::with<Result<DomainInfo>>,        //
                                      caf::reacts_to<Hold>,                                   //
                                      caf::reacts_to<MemberReset>,                            //
                                      caf::replies_to<Barrier>::with<Result<std::uint64_t>>,  //
                                      caf::reacts_to<Withdraw>,                               //
                                      caf::reacts_to<Dissolve>>;

// --- worker --------------------------------------------------------------------------------------

/// Admit a run. With a `driver` it is answered when the run may start; without one at once, and the worker
/// starts the program when it may.
struct OpenRun {
  std::shared_ptr<BoundProgram> program;  ///< null: the asker drives the run itself
  std::string name;
  std::int8_t priority = 0;
  std::chrono::nanoseconds deadline{0};
  std::shared_ptr<RunOutcome> outcome;  ///< where the end is announced
  ProgramActor driver;                  ///< when the asker drives it
};
struct RunOpened {
  RunId id = 0;
  Run run;
};
/// Tasks of a run that may run now. `report`: say where they went.
struct Ready {
  RunId run = 0;
  bool report = false;
  std::vector<TaskRequest> requests;
  std::uint64_t seen = 0;  ///< results that the run knew of when it sent these
};
/// The run has ended and nothing of it is left anywhere.
struct RunClosed {
  RunId run = 0;
};
/// Bring all executors up; the first error gives up on all.
struct StartWorker {};
struct AddExecutor {
  ExecutorConfig config;
};
struct RemoveExecutor {
  std::int32_t index = -1;
};
/// Everything on a chip is given up, then it comes up again: tasks there end as lost, device memory dies.
struct ResetExecutor {
  std::int32_t index = -1;
};
/// Copies the named buffers of the configuration back to their staging; empty: all.
struct StoreBuffers {
  std::string name;
};
struct AllocateDomain {
  RunId run = 0;
  DomainSpec spec;
};
/// So many more (or fewer) unfinished tasks name the domain.
struct HoldDomain {
  std::uint64_t domain = 0;
  std::int32_t delta = 0;
};
/// To the domain's communicator, if it is still there.
struct BarrierOf {
  std::uint64_t domain = 0;
  Barrier barrier;
};
struct ChipOf {
  std::int32_t index = 0;
};
struct ChipAccess {
  Chip chip;
  std::uint32_t incarnation = 0;
};
/// The newest bytes of a buffer are wanted in host memory: by a view, a run that ends, another node.
struct BringHome {
  std::shared_ptr<Buffer> buffer;
  bool all = false;  ///< also what tasks that have not ended are to write
};
/// The run's tasks have ended: answered when none is run again either, for bytes that were lost with a chip.
struct SettleRun {
  RunId run = 0;
};
/// Nobody holds a tensor of it any more.
struct ForgetBuffer {
  std::uint64_t buffer = 0;
};
struct StopWorker {};

using Worker =
    Executor::extend<caf::reacts_to<Results>,                                    // hot: from executors
                     caf::reacts_to<Stored>,                                     //
                     caf::reacts_to<RoomWanted>,                                 //
                     caf::replies_to<BringHome>::with<Result<bool>>,             //
                     caf::reacts_to<ForgetBuffer>,                               //
                     caf::reacts_to<Ready>,                                      // hot: from runs
                     caf::replies_to<OpenRun>::with<Result<RunOpened>>,          //
                     caf::replies_to<SettleRun>::with<bool>,                     //
                     caf::reacts_to<RunClosed>,                                  //
                     caf::replies_to<StartWorker>::with<Result<bool>>,           //
                     caf::replies_to<AddExecutor>::with<Result<std::int32_t>>,   // its number
                     caf::replies_to<RemoveExecutor>::with<Result<bool>>,        // after its last task
                     caf::replies_to<ResetExecutor>::with<Result<bool>>,         // when it is up again
                     caf::replies_to<StoreBuffers>::with<Result<bool>>,          //
                     caf::replies_to<AllocateDomain>::with<Result<DomainInfo>>,  //
                     caf::reacts_to<HoldDomain>,                                 //
                     caf::reacts_to<ReleaseDomain>,                              //
                     caf::replies_to<BarrierOf>::with<Result<std::uint64_t>>,    //
                     caf::replies_to<ChipOf>::with<Result<ChipAccess>>,          // direct use of a chip
                     caf::replies_to<StopWorker>::with<bool>>;  // ends the tree below, then the worker

}  // namespace troupe::actors
