// The threads around the kernels: how they come by work, run it, and wait.

#include <algorithm>
#include <cstring>
#include <utility>

#include "memory/memory.hpp"
#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

namespace {

constexpr int idle_spins = 1'000;
// More than what is submitted between two rounds, so that a backlog shrinks.
constexpr std::uint32_t help_budget = 128;
// Ready short tasks that keep the helpers busy until the program looks again.
constexpr std::uint32_t short_backlog = 64;
constexpr std::uint32_t live_backlog = 512;

void fill(const runtime::TensorDescriptor& tensor, std::uint64_t element) noexcept {
  const std::size_t size = runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
  auto* first = pointer<std::byte>(tensor.address) + tensor.start_offset * size;
  for (std::uint64_t i = 0; i < tensor.extent; ++i) std::memcpy(first + i * size, &element, size);
}

// An integer element, signed.
std::int64_t integer_at(const runtime::TensorDescriptor& tensor, std::uint64_t element) noexcept {
  const auto dtype = static_cast<runtime::DType>(tensor.dtype);
  const std::size_t size = runtime::size_of(dtype);
  std::uint64_t bits = 0;
  std::memcpy(&bits, pointer<std::byte>(tensor.address) + (tensor.start_offset + element) * size, size);
  switch (dtype) {
    case runtime::DType::i32:
      return static_cast<std::int32_t>(bits);
    case runtime::DType::i16:
      return static_cast<std::int16_t>(bits);
    case runtime::DType::i8:
      return static_cast<std::int8_t>(bits);
    default:
      return static_cast<std::int64_t>(bits);
  }
}

bool holds(std::int64_t seen, std::uint32_t compare, std::int64_t value) noexcept {
  switch (compare) {
    case TROUPE_EQUAL:
      return seen == value;
    case TROUPE_NOT_EQUAL:
      return seen != value;
    case TROUPE_GREATER:
      return seen > value;
    case TROUPE_GREATER_EQUAL:
      return seen >= value;
    case TROUPE_LESS:
      return seen < value;
    default:
      return seen <= value;
  }
}

std::uint32_t core_number(std::uint32_t cluster, std::uint32_t lane) noexcept {
  return lane == TROUPE_CHIP_AIC ? CoreBoard::aic(cluster) : CoreBoard::aiv(cluster * 2 + (lane - 1));
}

// A forgetful mean, never 0. Falls at once and rises slowly: what made one call long was more often the host,
// which ran something else, than the kernel.
std::uint32_t learnt(std::uint32_t usual, std::uint64_t ticks_taken) noexcept {
  constexpr std::uint64_t longest = 1u << 30;
  const auto taken = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(ticks_taken, 1, longest));
  std::uint32_t next = taken;
  if (usual != 0 && taken < usual) next = usual / 2 + taken / 2;
  if (usual != 0 && taken > usual) next = usual + std::max(std::min(taken - usual, usual) / 4, 1u);
  return std::max(next, 1u);
}

// How long a kernel usually takes; 0 stays "never measured".
void learn(KernelEntry& entry, std::uint64_t ticks_taken) noexcept {
  entry.usual_ticks.store(learnt(entry.usual_ticks.load(std::memory_order_relaxed), ticks_taken),
                          std::memory_order_relaxed);
}

}  // namespace

void ChipEngine::prepare(TaskRecord& task) {
  if (task.has_predicate) {
    const auto& flag = task.tensors[task.tensor_count];
    task.skipped =
        !holds(integer_at(flag, task.predicate.element), task.predicate.compare, task.predicate.value);
  }
  if (!task.has_fills) return;
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    if (task.fills[i].wanted) fill(task.tensors[i], task.fills[i].element);
  }
}

void ChipEngine::call(TaskRecord& task, const Piece& piece, CoreSlot& core, Words& words) {
  if (task.skipped || fatal() != 0) return;  // nothing starts after the end of a run was decided
  if (task.is_store) {
    const auto& tensor = task.tensors[0];
    const std::size_t size = runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
    std::memcpy(pointer<std::byte>(tensor.address) + (tensor.start_offset + task.scalars[1]) * size,
                &task.scalars[0], size);
    return;
  }
  std::uint32_t next = 0;
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    words.words[next++] = reinterpret_cast<std::int64_t>(&task.tensors[i]);
  }
  for (std::uint32_t i = 0; i < task.scalar_count; ++i) {
    words.words[next++] = static_cast<std::int64_t>(task.scalars[i]);
  }
  for (std::uint32_t i = next; i < words.used; ++i) words.words[i] = 0;
  words.used = next;
  KernelCall arguments;
  arguments.code = task.kernel_on(piece.lane).code;
  arguments.words = words.words;
  arguments.tensors = task.tensor_count;
  arguments.scalars = task.scalar_count;
  arguments.scalar_kinds = task.scalar_kinds;
  arguments.block = piece.block;
  arguments.blocks = task.blocks;
  arguments.sub_block = task.lane_count > 1 && piece.lane == TROUPE_CHIP_AIV1 ? 1 : 0;
  arguments.core = core_number(piece.cluster, piece.lane);
  arguments.cluster = piece.cluster;
  std::vector<FlagCondition> deferred;
  if (arguments.code.foreign != nullptr) {
    arguments.deferred = &deferred;
    arguments.task = std::uint64_t{task.id.generation} << 32 | task.id.slot;
  }
  const bool watched = profile_ || dump_;
  if (watched && dump_ && piece.block == 0) dump(task, false);
  const std::uint64_t begin = watched ? parts_.host.now() : 0;
  const std::uint64_t entered = words.measures ? ticks() : 0;
  auto failure = call_kernel(*kernels_, core, parts_.pipes, arguments);
  if (words.measures) words.taken = ticks() - entered;
  if (watched) {
    trace(task, piece, begin, parts_.host.now(), failure.has_value());
    if (dump_ && piece.block == 0) dump(task, true);
  }
  if (!failure && deferred.empty()) [[likely]]
    return;
  const std::lock_guard lock(baton_);
  if (!failure) {  // those of all its blocks together
    if (task.deferred == nullptr) task.deferred = std::make_unique<std::vector<FlagCondition>>();
    task.deferred->insert(task.deferred->end(), deferred.begin(), deferred.end());
    return;
  }
  if (task.failure == nullptr) task.failure = std::make_unique<Error>(*std::move(failure));
}

void ChipEngine::run_batch(Batch& batch, Words& words) {
  CoreSlot& core = parts_.board.core(core_number(batch.cluster, batch.lane));
  core.batch = &batch;
  const std::uint64_t begin = ticks();
  // Timed is the kernel alone: what its thread waits for the task's bytes is no reason to give it to another
  // one. Of quick ones, one in a row is enough.
  const bool every = batch.tasks[0]->kind > quick_aiv;
  words.measures = true;
  // A kernel that sleeps makes the batch smaller: it becomes the only one.
  for (batch.at = 0; batch.at < batch.count; ++batch.at) {
    TaskRecord& task = *batch.tasks[batch.at];
    core.enter(task.entry->code.name, 0, begin);
    if ((task.has_fills || task.has_predicate) && !task.skipped) prepare(task);
    words.taken = 0;
    call(task, {&task, 0, batch.lane, batch.cluster}, core, words);
    if (core.has_waited) [[unlikely]] {
      core.has_waited = false;  // sleeping is not what a kernel takes
      task.entry->waits.store(true, std::memory_order_relaxed);
    } else if (words.taken != 0) {
      learn(*task.entry, words.taken);
      words.total += words.taken;
      words.measures = every;
    }
  }
  words.measures = false;
  core.leave();
  core.batch = nullptr;
}

void ChipEngine::run_piece(const Piece& piece, Words& words) {
  CoreSlot& core = parts_.board.core(core_number(piece.cluster, piece.lane));
  core.enter(piece.task->kernel_on(piece.lane).code.name, piece.block, ticks());
  call(*piece.task, piece, core, words);
  core.has_waited = false;
  core.leave();
}

// With the baton before and after, without in between.
void ChipEngine::run_taken(Batch& batch, Words& words, Lock& lock) {
  const std::uint8_t kind = batch.tasks[0]->kind;
  if (batch.of_main) {
    main_busy_ = kind > quick_aiv;
    main_inside_ = true;
  }
  batch.works = kind < lone_aic;
  if (batch.works) ++working_;
  want_helper();
  lock.unlock();
  words.total = 0;
  run_batch(batch, words);
  const std::uint64_t before = std::exchange(batch.left, ticks());
  lock.lock();
  // Of a helper: what a short task costs besides its kernel.
  if (before != 0 && !batch.of_main && (kind == short_aic || kind == short_aiv)) {
    hand_over_ticks_ = learnt(hand_over_ticks_, (batch.left - before - words.total) / batch.count);
  }
  if (std::exchange(batch.works, false)) --working_;
}

void ChipEngine::serve(Lock& lock, Role role, const Done& done) {
  Words own;
  Words& words = role == Role::helper ? own : own_words_;
  bool takes_all = role != Role::waiting || helpless_;
  if (takes_all && role != Role::helper) ++looking_;
  Batch batch;
  batch.of_main = role != Role::helper;
  Piece piece;
  while (!done()) {
    if (!takes_all && helpless_) {  // nobody else will
      takes_all = true;
      ++looking_;
    }
    if (takes_all && take_set(piece)) {
      --looking_;
      ++executing_;
      if (role != Role::helper) main_busy_ = main_inside_ = true;
      want_helper();
      lock.unlock();
      run_piece(piece, words);
      lock.lock();
      if (role != Role::helper) main_is_back();
      --executing_;
      ++looking_;
      end_piece(piece);
    } else if (take(batch, takes_all ? Appetite::all : Appetite::brief, role != Role::helper || main_busy_)) {
      if (takes_all) --looking_;
      ++executing_;
      do {
        run_taken(batch, words, lock);
        end_batch(batch, true);
        signal_if_of_use();
      } while (batch.count != 0);
      cores_.give_back(batch.cluster, batch.lane);
      if (role != Role::helper) main_is_back();
      --executing_;
      if (takes_all) ++looking_;
      signal_if_of_use();
    } else {
      batch.left = 0;
      if (!takes_all) want_helper();  // what the last quick tasks made ready may be for others
      look_for_deadlock();
      if (done() || !idle(lock, role)) break;
    }
  }
  if (takes_all && role != Role::helper) --looking_;
}

// Nothing to do: looks for a moment, as long as another wake-up would cost, then sleeps. A helper goes
// instead.
bool ChipEngine::idle(Lock& lock, Role role) {
  ++idle_;
  const std::uint32_t seen = signal_.load(std::memory_order_relaxed);
  lock.unlock();
  const int spins = workers_ > 1 ? idle_spins : 0;
  for (int spin = 0; spin < spins && signal_.load(std::memory_order_acquire) == seen; ++spin) spin_pause();
  lock.lock();
  bool goes_on = true;
  if (signal_.load(std::memory_order_relaxed) == seen) {
    goes_on = role != Role::helper;
    if (goes_on) {
      ++sleeping_;
      lock.unlock();
      futex_wait(signal_, seen);
      lock.lock();
      --sleeping_;
    }
  }
  --idle_;
  return goes_on;
}

void ChipEngine::run_own(Lock& lock, std::uint32_t& budget) {
  ++executing_;
  helping_ = true;
  while (own_batch_.count != 0) {
    run_taken(own_batch_, own_words_, lock);
    budget -= std::min(budget, own_batch_.count);
    end_batch(own_batch_, budget != 0);
  }
  cores_.give_back(own_batch_.cluster, own_batch_.lane);
  helping_ = false;
  main_is_back();
  --executing_;
  want_helper();
}

void ChipEngine::main_is_back() noexcept { main_busy_ = main_inside_ = false; }

// A task that the graph does not know, and nobody else; without the baton.
void ChipEngine::run_own_task(TaskRecord& task, std::uint32_t at) {
  const std::uint32_t cluster = at / 4, lane = at % 4;
  KernelEntry& entry = *task.entry;
  if (checked_) begin_check(task);
  own_batch_.tasks[0] = &task;
  own_batch_.count = 1;
  own_batch_.at = 0;
  own_batch_.of_main = true;
  ++executing_;
  helping_ = main_inside_ = true;
  CoreSlot& core = parts_.board.core(core_number(cluster, lane));
  core.batch = &own_batch_;
  core.enter(entry.code.name, 0, ticks());
  own_words_.measures = entry.unmeasured == 0;
  own_words_.taken = 0;
  call(task, {&task, 0, lane, cluster}, core, own_words_);
  own_words_.measures = false;
  core.leave();
  core.batch = nullptr;
  own_batch_.count = 0;
  if (std::exchange(core.has_waited, false)) [[unlikely]] {
    entry.waits.store(true, std::memory_order_relaxed);
  } else if (entry.unmeasured != 0) {
    --entry.unmeasured;
  } else if (own_words_.taken != 0) {
    learn(entry, own_words_.taken);
    if (own_words_.taken < ticks_per_microsecond() / 4) entry.unmeasured = 7;
  }
  Lock lock(baton_, std::defer_lock);
  if (checked_) end_check(task);
  // Its module says that it cannot wait; if it did all the same, others may have come.
  if (!solo_ || task.failure != nullptr) [[unlikely]] {
    lock.lock();
    join();
    if (task.failure != nullptr) latch(*task.failure);
  }
  cores_.give_back(cluster, lane);
  helping_ = false;
  main_is_back();
  --executing_;
  ++kernels_run_;
  records_.give_back(&task);
  if (lock.owns_lock()) signal();
}

// Short tasks come faster than the helpers run them: many are ready, or many are there and some are ready.
bool ChipEngine::falls_behind() const noexcept {
  const std::uint32_t ready = graph_->ready_count(short_aic) + graph_->ready_count(short_aiv);
  return ready > short_backlog || (ready >= workers_ && graph_->live() > live_backlog);
}

// The program's thread, between two submits: the quick tasks that are ready. And short ones, when the helpers
// fall behind: a backlog that grows gets cold, and then costs more than it brings.
void ChipEngine::help(Lock& lock) {
  std::uint32_t budget = help_budget;
  own_batch_.of_main = true;
  while (budget != 0 && take(own_batch_, Appetite::quick, true)) run_own(lock, budget);
  std::uint32_t once = 0;
  while (falls_behind() && take(own_batch_, Appetite::brief, false)) run_own(lock, once);
}

void ChipEngine::serve_helper(Helper& helper) noexcept {
  Lock lock(baton_);
  serve(lock, Role::helper, [this] { return finished(); });
  --looking_;
  idle_helpers_.push_back(&helper);
  // Work may have come between the last look and now.
  if (active_) want_helper();
}

void ChipEngine::run_lane(Lane& lane) noexcept {
  Words words;
  run_piece(lane.piece, words);
  Lock lock(baton_);
  --executing_;
  end_piece(lane.piece);
  idle_lanes_.push_back(&lane);
  want_helper();
  look_for_deadlock();
  signal();
}

void ChipEngine::run_deferral(Deferral& deferral) noexcept {
  TaskRecord& task = *deferral.task;
  Words words;
  KernelCall call;
  call.code = task.entry->code;
  call.words = words.words;
  call.tensors = task.tensor_count;
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    words.words[i] = reinterpret_cast<std::int64_t>(&task.tensors[i]);
  }
  deferral.slot.enter(call.code.name, 0, ticks());
  auto failure = await_deferred(*kernels_, deferral.slot, call, *task.deferred);
  deferral.slot.leave();
  const Lock lock(baton_);
  --executing_;
  idle_deferrals_.push_back(&deferral);
  if (failure) task.failure = std::make_unique<Error>(*std::move(failure));
  task.deferred.reset();
  end(&task);
  drain_ended();
  want_helper();
  look_for_deadlock();
  signal();
}

void ChipEngine::parking(CoreSlot& core) {
  queue_->flush();
  const Lock lock(baton_);
  join();  // while the program's thread is alone, it is the one that is here
  if (core.batch != nullptr) split(*static_cast<Batch*>(core.batch));
  want_helper();
  look_for_deadlock();
}

}  // namespace troupe::platform::sim
