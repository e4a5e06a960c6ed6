// The threads around the kernels: how they come by work, run it, and wait.

#include "engine/crew.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "troupe/comm/threads_hint.hpp"

namespace troupe::platform::sim {

namespace {

constexpr int idle_spins = 1'000;
// More than what is submitted between two rounds, so that a backlog shrinks.
constexpr std::uint32_t help_budget = 128;

}  // namespace

Crew::Crew(const Parts& parts) : parts_(parts), schedule_(parts.schedule), where_(parts.whereabouts) {}

void Crew::begin(KernelHost& kernels, RunQueue& queue) noexcept {
  kernels_ = &kernels;
  queue_ = &queue;
}

// The first piece is for the calling thread, a thread for each other.
bool Crew::take_set(Piece& own) {
  TaskRecord* task = schedule_.next_set();
  if (task == nullptr) return false;
  const std::size_t others = Schedule::pieces_to_start(*task) - 1;
  if (others != 0 && !parts_.threads.provide(others)) {
    fail_for_threads("no " + std::to_string(others + 1) + " threads for '" + task->entry->name +
                     "', whose parts have to run together");
    return false;
  }
  if (task->next_block == 0 && (task->has_fills || task->has_predicate) && !task->skipped)
    KernelRunner::prepare(*task);
  started_.clear();
  schedule_.start_blocks(*task, started_);
  own = started_.front();
  for (std::size_t i = 1; i <= others; ++i) start_member(started_[i]);
  return true;
}

void Crew::start_member(const Piece& piece) {
  if (idle_members_.empty()) idle_members_.push_back(&members_.emplace_back(*this));
  Member* member = idle_members_.back();
  member->piece = piece;
  ++where_.executing;
  if (parts_.threads.start(*member)) return idle_members_.pop_back();
  --where_.executing;
  piece.task->failure = std::make_unique<Error>(
      Errc::system, "no thread for a part of '" + piece.task->entry->name + "'", comm::threads_hint());
  schedule_.end_piece(piece);
}

// Threads that work are as many as the host has processors. Those whose kernel may wait do not count: what it
// waits for needs a thread too.
void Crew::want_helper() {
  if (!schedule_.can_take(where_.main_busy)) return;
  parts_.bell.ring();
  if (where_.looking != 0) return;
  if (where_.working + (where_.program_works() ? 1 : 0) >= schedule_.workers()) return;
  Helper* helper = nullptr;
  if (idle_helpers_.empty()) {
    helper = &helpers_.emplace_back(*this);
  } else {
    helper = idle_helpers_.back();
    idle_helpers_.pop_back();
  }
  if (parts_.threads.start(*helper)) {
    ++where_.looking;
  } else {
    idle_helpers_.push_back(helper);
    do_without_helper();
  }
}

// There is work and no thread for it. The next thread that ends a kernel takes it up, or the program's in a
// wait; but when all of them are inside kernels that wait, it may be what they wait for, and no
// thread would ever come.
void Crew::do_without_helper() {
  where_.helpless = true;
  if (!where_.main_inside) return;
  std::size_t waiting = 0;
  std::string kernels;
  const auto add = [&](const std::string& where, const CoreSlot& slot) {
    ++waiting;
    const char* name = slot.name.load(std::memory_order_acquire);
    kernels +=
        (kernels.empty() ? "" : ", ") + where + (name != nullptr ? ": '" + std::string(name) + "'" : "");
  };
  for (const std::uint32_t core : parts_.board.waiting()) add(core_name(core), parts_.board.core(core));
  parts_.deferrals.for_each_slot([&](const CoreSlot& slot) {
    if (slot.waits()) add("no core", slot);
  });
  if (waiting < where_.executing) return;
  fail_for_threads("no thread for a kernel that is ready, while those that run wait (" + kernels + ")");
}

// Kernels that wait would not end by themselves: perhaps for a task that now will not run.
void Crew::fail_for_threads(const std::string& what) {
  schedule_.fail(Error(Errc::system, what, comm::threads_hint()));
  kernels_->interrupt();
}

bool Crew::is_finished() const noexcept {
  if (!schedule_.is_active()) return true;
  return !where_.program_runs && where_.executing == 0 && schedule_.is_over();
}

// Tasks have ended on a thread that goes on: threads without work are told when there is something for them,
// and not for every link of a chain.
void Crew::ring_if_of_use() noexcept {
  if (parts_.bell.is_heard() &&
      (where_.program_waits != ProgramWait::nothing || schedule_.can_take(true) || is_finished()))
    parts_.bell.ring();
}

void Crew::look_for_deadlock() {
  auto found = parts_.deadlock.look();
  if (found.failure) schedule_.fail(*found.failure);
  if (found.ends_waits) kernels_->end_waits(where_.program_runs && where_.program_helps);
  if (found.ends_program_wait) {
    where_.program_stuck = true;
    parts_.bell.ring();
  }
}

// Its thread has run all that lay on it.
bool Crew::gets_more(const Batch& tray, ArgumentWords& words) {
  if (!parts_.service.would_hear(&tray)) return false;
  const std::uint64_t begin = ticks();
  const bool came = parts_.service.ask([&] { return !tray.is_done(); });
  words.total += ticks() - begin;  // to wait for work is no cost of handing it over
  return came;
}

// With the baton before and after, without in between.
void Crew::run_taken(Batch& batch, ArgumentWords& words, Lock& lock) {
  const std::uint8_t kind = batch.kind;
  if (batch.of_main) {
    where_.main_busy = kind > kinds::quick_aiv;
    where_.main_inside = true;
  }
  batch.works = kind < kinds::lone_aic;
  if (batch.works) ++where_.working;
  want_helper();
  lock.unlock();
  words.total = 0;
  std::uint64_t out = 0;
  for (;;) {
    parts_.runner.run(batch, words);
    if (batch.is_tray && gets_more(batch, words)) continue;
    out = ticks();
    lock.lock();
    if (!batch.is_tray || batch.is_done()) break;
    lock.unlock();
  }
  const std::uint64_t before = std::exchange(batch.left, out);
  // Of a helper: what a short task costs besides its kernel.
  if (before != 0 && !batch.of_main && (kind == kinds::short_aic || kind == kinds::short_aiv)) {
    parts_.pace.handed_over((batch.left - before - words.total) /
                            batch.count.load(std::memory_order_relaxed));
  }
  if (std::exchange(batch.works, false)) --where_.working;
  parts_.service.held_by(&batch);
}

void Crew::serve(Lock& lock, Role role, const Done& done) {
  ArgumentWords own;
  ArgumentWords& words = role == Role::helper ? own : own_words_;
  bool takes_all = role != Role::waiting || where_.helpless;
  if (takes_all && role != Role::helper) ++where_.looking;
  Batch batch;
  batch.of_main = role != Role::helper;
  schedule_.open(batch);
  if (role == Role::waiting) parts_.service.end();
  Piece piece;
  while (!done()) {
    if (!takes_all && where_.helpless) {  // no other thread will
      takes_all = true;
      ++where_.looking;
    }
    if (takes_all && take_set(piece)) {
      --where_.looking;
      ++where_.executing;
      if (role != Role::helper) where_.main_busy = where_.main_inside = true;
      want_helper();
      lock.unlock();
      parts_.runner.run(piece, words);
      lock.lock();
      if (role != Role::helper) where_.main_is_back();
      --where_.executing;
      ++where_.looking;
      schedule_.end_piece(piece);
    } else if (schedule_.take(batch, takes_all ? Appetite::all : Appetite::brief,
                              role != Role::helper || where_.main_busy)) {
      if (takes_all) --where_.looking;
      ++where_.executing;
      do {
        batch.is_tray = role != Role::waiting && schedule_.may_be_tray(batch);
        run_taken(batch, words, lock);
        schedule_.end_batch(batch, true);
        schedule_.tend(&batch);
        ring_if_of_use();
      } while (!batch.is_empty());
      schedule_.cores().give_back(batch.cluster, batch.lane);
      if (role != Role::helper) where_.main_is_back();
      --where_.executing;
      if (takes_all) ++where_.looking;
      ring_if_of_use();
    } else {
      batch.left = 0;
      if (!takes_all) want_helper();  // what the last quick tasks made ready may be for others
      look_for_deadlock();
      const int spins = schedule_.workers() > 1 ? idle_spins : 0;
      // A helper goes rather than sleep.
      parts_.service.held_by(&batch);
      if (done() || !parts_.bell.listen(lock, parts_.service, spins, role != Role::helper)) break;
      schedule_.tend(&batch);
      ring_if_of_use();
    }
  }
  schedule_.close(batch);
  if (role == Role::waiting) parts_.service.begin();
  if (takes_all && role != Role::helper) --where_.looking;
}

void Crew::run_own(Lock& lock, std::uint32_t& budget) {
  ++where_.executing;
  where_.program_helps = true;
  parts_.service.end();
  while (!own_batch_.is_empty()) {
    run_taken(own_batch_, own_words_, lock);
    budget -= std::min(budget, own_batch_.count.load(std::memory_order_relaxed));
    schedule_.end_batch(own_batch_, budget != 0);
    schedule_.tend(&own_batch_);
  }
  parts_.service.begin();
  schedule_.cores().give_back(own_batch_.cluster, own_batch_.lane);
  where_.program_helps = false;
  where_.main_is_back();
  --where_.executing;
  want_helper();
}

// A task that the graph does not know, and no other thread; without the baton.
void Crew::run_at_once(TaskRecord& task, std::uint32_t core) {
  if (parts_.checks.enabled()) parts_.checks.begin(task);
  own_batch_.tasks[0] = &task;
  own_batch_.count.store(1, std::memory_order_relaxed);
  own_batch_.at.store(0, std::memory_order_relaxed);
  own_batch_.ended = 0;
  own_batch_.of_main = true;
  ++where_.executing;
  where_.program_helps = where_.main_inside = true;
  const Piece piece{.task = &task, .block = 0, .lane = core % 4, .cluster = core / 4};
  parts_.runner.run_alone(own_batch_, piece, own_words_);
  own_batch_.count.store(0, std::memory_order_relaxed);
  Lock lock(parts_.baton, std::defer_lock);
  if (parts_.checks.enabled()) parts_.checks.end(task);
  // Its module says that it cannot wait; if it did all the same, others may have come.
  if (!where_.alone || task.failure != nullptr) [[unlikely]] {
    lock.lock();
    schedule_.join();
    if (task.failure != nullptr) schedule_.fail(*task.failure);
  }
  schedule_.cores().give_back(piece.cluster, piece.lane);
  where_.program_helps = false;
  where_.main_is_back();
  --where_.executing;
  schedule_.count_kernel();
  parts_.records.give_back(&task);
  if (lock.owns_lock()) parts_.bell.ring();
}

bool Crew::run_inside(TaskRecord& task, Lock& lock) {
  CorePool& cores = schedule_.cores();
  const std::uint32_t lane = task.lanes[TROUPE_CHIP_AIC] != nullptr ? TROUPE_CHIP_AIC : TROUPE_CHIP_AIV0;
  const std::uint32_t core = lane == TROUPE_CHIP_AIC ? cores.take_aic() : cores.take_aiv();
  if (core == CorePool::none) return false;
  own_batch_.tasks[0] = &task;
  own_batch_.count.store(1, std::memory_order_relaxed);
  own_batch_.at.store(0, std::memory_order_relaxed);
  own_batch_.ended = 0;
  own_batch_.of_main = own_batch_.works = true;
  ++where_.executing;
  ++where_.working;
  where_.program_helps = where_.main_inside = where_.main_busy = true;
  const Piece piece{.task = &task, .block = 0, .lane = core % 4, .cluster = core / 4};
  parts_.service.end();
  lock.unlock();
  const std::uint64_t begin = ticks();
  parts_.runner.run_alone(own_batch_, piece, own_words_);
  untended_ += ticks() - begin;
  lock.lock();
  parts_.service.begin();
  own_batch_.count.store(0, std::memory_order_relaxed);
  if (std::exchange(own_batch_.works, false)) --where_.working;
  if (task.failure != nullptr) [[unlikely]]
    schedule_.fail(*task.failure);
  cores.give_back(piece.cluster, piece.lane);
  where_.program_helps = false;
  where_.main_is_back();
  --where_.executing;
  schedule_.count_kernel();
  parts_.records.give_back(&task);
  if (untended_ > std::uint64_t{ticks_per_microsecond()} * 4 || parts_.service.is_asked()) {
    untended_ = 0;
    schedule_.tend(nullptr);
  }
  return true;
}

// The program's thread, between two submits: the quick tasks that are ready. And short ones, when the helpers
// fall behind: a backlog that grows gets cold, and then costs more than it brings.
void Crew::help(Lock& lock) {
  std::uint32_t budget = help_budget;
  schedule_.tend(nullptr);
  own_batch_.of_main = true;
  while (budget != 0 && schedule_.take(own_batch_, Appetite::quick, true)) run_own(lock, budget);
  std::uint32_t once = 0;
  while (schedule_.falls_behind() && schedule_.take(own_batch_, Appetite::brief, false)) run_own(lock, once);
}

void Crew::run_helper(Helper& helper) noexcept {
  Lock lock(parts_.baton);
  serve(lock, Role::helper, [this] { return is_finished(); });
  --where_.looking;
  idle_helpers_.push_back(&helper);
  // Work may have come between the last look and now.
  if (schedule_.is_active()) want_helper();
}

void Crew::run_member(Member& member) noexcept {
  ArgumentWords words;
  parts_.runner.run(member.piece, words);
  const Lock lock(parts_.baton);
  --where_.executing;
  schedule_.end_piece(member.piece);
  idle_members_.push_back(&member);
  after_other_thread();
}

void Crew::end_deferral(Deferrals::Deferral& deferral) noexcept {
  const Lock lock(parts_.baton);
  schedule_.end(&parts_.deferrals.end(deferral));
  schedule_.drain_ended();
  after_other_thread();
}

// A thread leaves that does not look for work itself.
void Crew::after_other_thread() {
  want_helper();
  look_for_deadlock();
  parts_.bell.ring();
}

void Crew::about_to_park(CoreSlot& core) {
  queue_->flush();
  const Lock lock(parts_.baton);
  schedule_.join();  // while the program's thread is alone, it is the one that is here
  if (core.batch != nullptr) schedule_.split(*static_cast<Batch*>(core.batch));
  want_helper();
  look_for_deadlock();
}

}  // namespace troupe::platform::sim
