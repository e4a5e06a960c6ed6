#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "callable_registry.hpp"
#include "chip/copies.hpp"
#include "chip/device_in_use.hpp"
#include "chip/news.hpp"
#include "data/data.hpp"
#include "plan/plan.hpp"
#include "recent_failures.hpp"
#include "trace/trace.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/protocol.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host.hpp"
#include "troupe/runtime/ring.hpp"

namespace troupe::actors {

/// Who a chip is.
struct ChipIdentity {
  std::string name;  ///< "chip3"
  std::int32_t index = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t node = 0;                     ///< the number of its node
  std::shared_ptr<const NodeLink> link = {};  ///< to its node, which keeps what only the chip has
};

/// A device that is set and ready, on its way to the chip that will own it. Closed when it gets lost on the
/// way.
struct OpenedDevice {
  std::optional<platform::DeviceContext> context;
  troupe_device_properties properties{};
  std::optional<Error> error;  ///< why there is none
};

/// Opens and sets the device of a chip. Takes as long as the device does: for a thread that may block.
TROUPE_API OpenedDevice open_device(const ChipConfig& config, std::uint32_t incarnation,
                                    std::shared_ptr<platform::Host> host, platform::ContextEvents events);

/// Registers a foreign object, or (no bytes) what the platform knows by its name alone. Takes as long as its
/// constructors do.
TROUPE_API Result<std::uint64_t> register_object(platform::DeviceContext& context, const std::string& name,
                                                 std::span<const std::uint8_t> bytes, CoreKind core_kind);

/// A chip's life: created → (bring_up) ready ⇄ (reset) → finalized. Owns the device context and everything on
/// it: allocations, registered callables, runs in flight. Plain state: the actor around it turns messages
/// into calls and sends what they return; nothing here waits for the device. What takes long (`takes_long`,
/// `to_link`) is made by the actor on another thread, which then tells how it went.
class TROUPE_API ChipState {
 public:
  enum class Life : std::uint8_t { created, ready, finalized, lost };
  /// Up to here a copy, or a window, is made by the chip's actor itself: it takes less than handing it to a
  /// thread.
  static constexpr std::uint64_t quick_bytes = 512ULL << 10U;

  /// A foreign object to link in under `name`; both are good until the next call.
  struct LinkOrder {
    CallableKey key;
    std::string name;
    const Callable* callable = nullptr;
  };

  /// `tracer`: null when no trace is taken. `node`: what its node knows, so that chip programs can name it;
  /// null: nothing.
  ChipState(ChipConfig config, ChipIdentity identity, std::shared_ptr<platform::Host> host,
            std::shared_ptr<ChipTracer> tracer = nullptr,
            std::shared_ptr<const CallableRegistry> node = nullptr);

  const ChipIdentity& identity() const { return identity_; }
  const std::shared_ptr<ChipTracer>& tracer() const { return tracer_; }
  const ChipConfig& config() const { return config_; }
  Life life() const { return life_; }

  /// Whether bring-up may begin.
  Result<bool> may_bring_up() const;
  /// created → ready, with a device that has been opened.
  Result<ExecutorInfo> adopt(OpenedDevice& device);
  /// → created: forgets everything on the device and gives its context away, to be closed where blocking does
  /// not hurt. Nothing is answered.
  std::shared_ptr<DeviceInUse> reset(std::uint32_t incarnation);
  /// → finalized: gives the context away. What was launched stays, for `abandon`.
  std::shared_ptr<DeviceInUse> take_context();
  /// What other threads may be inside of; null: no device is set.
  const std::shared_ptr<DeviceInUse>& device() const { return device_; }

  /// Launches what credit allows, queues the rest; returns what ended at once (could not be started,
  /// skipped).
  std::vector<TaskResult> execute(std::vector<TaskRequest>& requests);
  /// Device runs have ended; launches what was queued.
  std::vector<TaskResult> ended(const DeviceDone& done);
  /// Queued ones end here, launched ones are asked to.
  std::vector<TaskResult> cancel(const Cancel& cancel);
  /// The device's highest number among tasks that were asked to end and have not; 0: none.
  std::uint64_t asked_to_end() const;
  /// Those up to `number` have had their time: what the chip has to be given up for, if one is still inside a
  /// kernel, or if nothing else explains that its end is not heard of.
  std::optional<Error> does_not_end(std::uint64_t number) const;
  /// Everything in flight, as lost: for an actor that ends while the device runs.
  std::vector<TaskResult> abandon(const Error& reason);

  /// A foreign object that a task waits for and that nobody has been told of yet.
  std::optional<LinkOrder> to_link();
  void linked(const ObjectLinked& news, std::vector<TaskResult>& out);
  /// The device's numbers of objects that came with submits and whose holders have all gone. Like linking,
  /// taking them off the device runs their code.
  std::vector<std::uint64_t> to_unlink() { return std::exchange(to_unlink_, {}); }

  /// Copies are dropped and stored; what was queued before is not touched by that.
  std::vector<TaskResult> take(DataOrders& orders);
  /// Bytes to be copied in or out and memory to be freed, on a thread that may block, one after the other.
  std::vector<MemoryCall> to_move() { return std::exchange(moves_, {}); }
  std::vector<TaskResult> moved(const MemoryCall& call, const Result<void>& made);
  /// When it was made.
  void trace(const MemoryCall& call, std::int64_t began, std::int64_t ended, const Result<void>& made);
  /// Who is told, on any thread, when a loan comes back; whose news then go to `returned`.
  void when_loans_come_back(std::function<void(const LoanBack&)> tell) { loan_is_back_ = std::move(tell); }
  std::vector<TaskResult> returned(const LoanBack& back);
  /// What has been stored since the last call.
  std::vector<Stored::One> take_stored() { return std::exchange(stored_, {}); }
  /// What the node is to be asked for, after it knows of all that has ended.
  std::vector<PieceOf> take_wanted_room() { return std::exchange(wanted_room_, {}); }

  Result<std::uint64_t> malloc(const DeviceMalloc& request);
  /// Why the call must not be made: what it means is not there (any more).
  std::optional<Error> refuses(const MemoryCall& call) const;
  /// Whether it is for a thread that may block.
  bool takes_long(const MemoryCall& call) const;
  /// The call has been made, with this result.
  void account_for(const MemoryCall& call, const Result<void>& made);
  /// What its asker hears: what a run still uses is as good as freed, it goes when the run has ended.
  static Result<bool> answer_of(const MemoryCall& call, const Result<void>& made);
  /// All of it, here.
  Result<bool> make(const MemoryCall& call);
  /// Runs have ended: frees and releases that were too early.
  std::vector<MemoryCall> due_again();
  std::optional<Error> refuses(const WindowCreate& request) const;
  bool takes_long(const WindowCreate& request) const;
  Result<WindowOffer> create_window(const WindowCreate& request);
  Result<troupe_window_view> import_window(const WindowImport& request);
  void abort_window(const WindowAbort& request);

  ExecutorInfo describe() const;
  ExecutorStatus status() const;
  std::string why(const Why& why) const;
  /// The device said it is gone.
  bool device_lost() const { return life_ == Life::lost; }
  /// In its words; empty when it said none.
  const std::string& how_lost() const { return how_lost_; }

 private:
  /// Tasks of a plan that are on their way through the device: to all others they are one task.
  struct BundleRun {
    TaskRequest request;
    CopyUses uses;
    /// Where an argument of the whole lies.
    struct Base {
      std::uint64_t address = 0, buffer_bytes = 0, byte_offset = 0;
      bool on_chip = false, left_alone = false;
      const Copy* piece = nullptr;
    };
    std::vector<Base> bases;
    std::vector<std::uint64_t> callables;  ///< the device's numbers
    std::vector<std::uint64_t> scalars;    ///< with the numbers of this replay; empty: as they were recorded
    std::vector<std::uint64_t> runs;       ///< by task: its correlation; 0: not launched
    std::vector<bool> bad;                 ///< by task, once one has not ended well
    std::vector<TaskBodyRef> bodies;       ///< by task, while a trace is taken
    std::int64_t began = 0;
    std::int64_t first = 0, last = 0;  ///< when its tasks began and ended, as the device says
    std::uint32_t next = 0, open = 0;  ///< task to launch; launched ones that have not ended
    bool given_up = false;
    std::uint64_t graph = 0;  ///< the device's number for all of it; 0: its tasks are launched one by one
    std::optional<Error> error;

    const Bundle& bundle() const { return *request.body->callable->bundle; }
    bool all_launched() const { return next == bundle().size(); }
  };
  /// A task that was given to the chip, with the copies it uses.
  struct Item {
    TaskRequest request;
    CopyUses uses;
    std::shared_ptr<BundleRun> bundle = {};  ///< once it has begun
  };
  /// An answer that is kept back. Who wants what the task was to write waits for it, too.
  struct Later {
    Item item;
    TaskResult result;
  };
  struct Flight {
    TaskKey key;
    Ticket ticket = 0;
    TaskBodyRef body;
    bool ended = false;
    bool asked = false;            ///< to end
    std::uint64_t names_from = 0;  ///< no run before this one is in its depends_on
    CopyUses uses = {};
    std::shared_ptr<RunHold> memory = {};                      ///< keeps the buffers
    std::shared_ptr<BundleRun> bundle = {};                    ///< that it is a task of; then `body` is null
    std::uint32_t task = 0;                                    ///< and which
    static constexpr std::uint32_t whole = ~std::uint32_t{0};  ///< all of them

    std::string_view name() const {
      if (!bundle) return body->name();
      return task == whole ? bundle->request.body->name() : bundle->bundle().name_of(task);
    }
  };
  /// Whether a task's data is on the chip.
  enum class Data : std::uint8_t { there, coming, no_room, refused };

  platform::DeviceContext& context() const { return device_->context; }
  Error wrong_state(std::string_view call) const;
  std::optional<Error> of_another_life(std::string_view call, std::uint32_t incarnation) const;
  static CallableRef owner_of(const TaskBody& body) { return body.extras ? body.extras->owned : nullptr; }
  static CallableKey key_of(const Callable& callable, const CallableRef& owner);
  Result<std::uint64_t> callable_id(const Callable& callable, const CallableRef& owner);
  Result<std::uint64_t> register_at_once(const Callable& callable);
  void add_callable(const CallableKey& key, std::uint64_t id, std::weak_ptr<const Callable> owner);
  bool order_links(const Callable& callable, const CallableRef& owner);
  bool learn_all();
  std::optional<TaskResult> prepare(const TaskRequest& request, std::uint64_t& callable);
  std::optional<TaskResult> check_memory(const TaskRequest& request);
  TaskResult refuse(const TaskRequest& request, Error error);
  std::uint32_t add_depends(const TaskRequest& request);
  Item item_of(TaskRequest& request);
  // Answers to tasks that were in the queue: state.cpp.
  void answer(Item& item, TaskResult result, std::vector<TaskResult>& out);
  static bool reads_what_is_lent(const Item& item);
  void answer_later_ones(std::vector<TaskResult>& out);
  std::size_t answered(const std::vector<TaskResult>& out) const { return out.size() + later_.size(); }
  template <class Which, class Then>
  void take_from_queue(Which which, Then then);
  static bool is_copied(const TaskRequest& request, const Operand& operand, std::size_t argument);
  static const Piece* piece_of(const TaskRequest& request, std::size_t argument);
  static const Copy* copy_of(const Item& item, const Operand& operand, std::size_t argument);
  void gather(std::vector<TaskRequest>& fresh, std::vector<TaskResult>& out);
  void launch_queued(std::vector<TaskResult>& out) {
    std::vector<TaskRequest> none;
    launch(none, out);
  }
  void launch(std::vector<TaskRequest>& fresh, std::vector<TaskResult>& out);
  void launch_all(std::vector<TaskRequest>& fresh, std::vector<TaskResult>& out);
  void launch_batch(std::vector<TaskResult>& out);
  void add_run(Item& item, std::uint64_t callable);

  // Tasks of plans: bundles.cpp.
  bool follows_bundle(const TaskRequest& request) const;
  bool launch_bundle(std::vector<TaskResult>& out);
  bool begin_bundle(Item& item, std::vector<TaskResult>& out);
  void find_bases(const Item& item, BundleRun& run);
  bool is_spoilt(const BundleRun& run, std::uint32_t task) const;
  void add_bundle_run(const std::shared_ptr<BundleRun>& run, std::uint32_t task);
  void launch_part(const std::shared_ptr<BundleRun>& run);
  void bundle_task_ended(Flight& flight, const DeviceDone::One& end, std::vector<TaskResult>& out);
  void end_bundle(const std::shared_ptr<BundleRun>& run, std::vector<TaskResult>& out);
  // The same as one graph of the device: bundle_graphs.cpp.
  std::uint64_t graph_of(const BundleRun& run);
  Result<std::uint64_t> register_graph(const BundleRun& run);
  void launch_graph(const std::shared_ptr<BundleRun>& run);
  void graph_ended(BundleRun& run, const DeviceDone::One& end);
  TaskBodyRef traced_part(const BundleRun& run, std::uint32_t task) const;

  // Tasks without a kernel: data_tasks.cpp.
  std::optional<TaskResult> data_task(const Item& item);
  TaskResult data_task_result(const TaskRequest& request, const Result<void>& made, std::int64_t began);
  Result<void> move_now(const MemoryCall& move);
  Error no_room_for(const Item& item) const;
  std::string why_data(const Item& item) const;
  void data_task_ended(const Result<void>& made, std::vector<TaskResult>& out);

  // Copies: bring.cpp, make_room.cpp, store.cpp.
  enum class Room : std::uint8_t { make, only_free };
  Data bring(const Item& item, Room room, std::optional<Error>& why);
  std::uint64_t free_memory(std::uint64_t bytes);
  Result<std::uint64_t> allocate(std::uint64_t bytes);
  void free_spare();
  bool find_memory(const Item& item, Copy& copy, Room room, std::optional<Error>& why);
  bool make_room(const Item& item, std::uint64_t bytes);
  void put_away(const DataOrders::Room& order);
  Data bring_bytes(Copy& copy, Buffer& buffer, std::optional<Error>& why);
  void bring_ahead();
  void leave_copies();
  bool lost_by(const Error& error);
  bool lost_by(const Result<void>& made);
  void serve_stores(bool at_once);
  void store(Copy& copy, const std::shared_ptr<Buffer>& buffer, const Piece& what, bool for_room = false);
  bool lend(const DataOrders::Store& order, Copy* copy, bool at_once);
  void take_loan(DataOrders::Take& order);
  void has_taken(Copy& copy, std::uint64_t passing, const Result<void>& made);
  MemoryCall move_of(Copy& copy, Buffer& buffer, const Piece& what, bool to_chip, std::byte* place) const;
  void has_stored(Copy& copy, const Piece& what, bool for_room, const Result<void>& made);
  void refuse_users(const Copy* copy, const Error& why, std::vector<TaskResult>& out);
  static std::uint64_t host_address_of(Buffer& buffer);
  void free_surplus(const std::vector<std::uint64_t>& addresses);
  void configure(troupe_run& run, const TaskBody& body) const;
  void take_back(const Error& reason, std::vector<TaskResult>& out);
  TaskResult finish(Flight& flight, const DeviceDone::One& end);
  void forget();

  ChipConfig config_;
  ChipIdentity identity_;
  std::shared_ptr<platform::Host> host_;
  std::shared_ptr<ChipTracer> tracer_;
  std::shared_ptr<DeviceInUse> device_;
  Life life_ = Life::created;
  std::string how_lost_;
  troupe_device_properties properties_{};

  struct KeyHash {
    std::size_t operator()(const CallableKey& key) const noexcept {
      return runtime::DigestHash{}(key.digest) ^ std::size_t{key.own};
    }
  };
  struct Registered {
    std::uint64_t id = 0;
    std::weak_ptr<const Callable> owner;  ///< of an own one: whose task used it last
  };
  struct Link {
    const Callable* callable = nullptr;  ///< until it has begun
    std::weak_ptr<const Callable> owner;
    std::optional<Error> failed;
  };
  std::unordered_map<CallableKey, Registered, KeyHash> callables_;
  std::unordered_map<CallableKey, bool, KeyHash> naming_;  ///< foreign ones: may it name what others added?
  std::unordered_map<CallableKey, Link, KeyHash> links_;   ///< objects on their way to the device
  std::shared_ptr<const CallableRegistry> node_;
  std::size_t learned_ = 0;       ///< so many of the node's callables
  std::uint64_t own_linked_ = 0;  ///< each has a name of its own on the device
  std::vector<std::uint64_t> to_unlink_;
  Copies copies_;
  Error no_memory_{Errc::out_of_memory, "no device memory"};  ///< why there was none the last time
  std::vector<MemoryCall> moves_;
  std::size_t moving_ = 0;  ///< moves that have not come back
  std::size_t lent_ = 0;    ///< loans that have not
  std::function<void(const LoanBack&)> loan_is_back_;
  std::vector<DataOrders::Store> to_store_;
  std::vector<Stored::One> stored_;
  std::vector<PieceOf> wanted_room_;
  std::size_t asked_ = 0;                     ///< pieces that the node has not answered for
  std::optional<TaskKey> data_task_running_;  ///< on a thread of its own: the next in the queue
  std::int64_t data_task_began_ = 0;
  std::deque<Item> queued_;
  std::vector<Later> later_;                         ///< while memory that was lent for them is being read
  std::vector<std::shared_ptr<BundleRun>> bundles_;  ///< that have begun
  struct Graph {
    std::weak_ptr<const Bundle> of;
    std::uint64_t id = 0;  ///< 0: the device does not take it
  };
  std::unordered_map<const Bundle*, Graph> graphs_;  ///< what the device was told of bundles
  runtime::Ring<Flight> flights_;                    ///< launched, by correlation from `first_` on
  std::uint64_t first_ = 1;
  std::uint32_t in_flight_ = 0;
  RecentFailures failures_;
  std::vector<MemoryCall> busy_;                            ///< to be tried again when runs have ended
  std::unordered_map<std::uint64_t, std::uint64_t> large_;  ///< allocations, by address: their bytes
  std::unordered_set<std::uint64_t> quick_windows_;         ///< those that were made here
  std::uint64_t completed_ = 0, failed_ = 0;

  // Scratch of one launch.
  std::vector<Item> batch_;
  std::vector<std::uint64_t> batch_callables_;
  std::vector<troupe_run> runs_;
  std::vector<troupe_tensor_arg> tensors_;
  std::vector<std::uint64_t> depends_;
};

/// Those that `which(item)` says leave the queue, for `then(item)`.
template <class Which, class Then>
void ChipState::take_from_queue(Which which, Then then) {
  std::deque<Item> stay;
  for (auto& item : queued_) {
    if (which(std::as_const(item))) {
      then(item);
    } else {
      stay.push_back(std::move(item));
    }
  }
  queued_ = std::move(stay);
}

}  // namespace troupe::actors
