// The running side of a run: what becomes ready goes out, results come in.
#include <algorithm>

#include "run/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {
namespace {

/// Requests a run keeps with its worker, whatever the number of executors.
constexpr std::uint64_t max_in_flight = 4096;
/// What a program submits at a time.
constexpr std::size_t usual_batch = 64;

}  // namespace

/// As many as keep its executors busy: more would only make other runs, and what is more urgent, wait behind
/// them.
std::uint64_t RunState::in_flight_limit() const {
  const auto executors = config_.executors ? config_.executors->size() : 1;
  constexpr std::uint64_t each = InOrderQueues::max_queued;
  return std::clamp(executors * each, each, max_in_flight);
}

RunEffects RunState::advance() {
  reap();
  const auto limit = in_flight_limit();
  for (const auto kind : {chip_kind, function_kind, program_kind, read_kind}) {
    while (in_flight_ < limit) {
      const auto work = graph_.pop_ready(kind);
      if (!work) break;
      auto& record = *reinterpret_cast<Record*>(work.cookie);
      if (kind == read_kind) {
        record.in_flight = true;
        ++reads_open_;
        if (record.read_token != 0) serve_read(record);
        continue;
      }
      dispatch(record, record.target, false);
    }
  }
  follow();
  reap();
  serve_waiters();
  check_stuck();
  serve_waiters();
  maybe_finish();
  if (ended_ - told_ >= config_.credit_step) {
    effects_.credit = ended_;
    told_ = ended_;
  }
  effects_.seen = seen_;
  effects_.report = graph_.status().pending > 0;
  return effects_.take();
}

void RunState::dispatch(Record& record, std::int32_t bound, bool in_order) {
  TaskRequest request;
  request.key = {config_.id, record.number, 0, record.attempt};
  request.body = record.body;
  request.executor = bound;
  request.priority = record.priority;
  request.members = record.members;
  request.memory = memory_;
  request.retries = record.retries != 0;
  if (bound >= 0) {
    if (in_order) {
      request.depends = queues_.to_follow(bound, may_be_followed(record), [&](auto visit) {
        for (const auto& other : records_) {
          if (other && other->queue == bound) visit(other->number);
        }
      });
    }
    join_queue(record, bound);
  }
  record.in_flight = record.sent = true;
  record.answered = 0;
  record.halting = false;
  record.outcome = Outcome::done;
  record.error.reset();
  ++in_flight_;
  if (tracer_) tracer_->dispatched(*record.body, !in_order);
  if (effects_.ready.empty()) effects_.ready.reserve(std::min<std::size_t>(live_, usual_batch));
  effects_.ready.push_back(std::move(request));
}

/// Whether dependents may be sent after it before its end is known. Not to nodes, which run their programs
/// side by side. And not after what may be tried again: when its executor dies, nobody knows whether the task
/// and its followers have run; it would then read what they have written.
bool RunState::may_be_followed(const Record& record) {
  return record.kind != program_kind && record.retries == 0;
}

/// The task is queued on that executor: dependents may join it there.
void RunState::join_queue(Record& record, std::int32_t executor) {
  if (!may_be_followed(record)) return;
  record.queue = executor;
  queues_.join(executor, record.number);
  graph_.dispatched(record.id, static_cast<runtime::ExecutorId>(executor));
}

/// Dependents of what is queued on an executor join the same queue.
void RunState::follow() {
  using Joined = InOrderQueues::Joined;
  queues_.follow(config_.only_chip, [this](std::int32_t executor) {
    if (in_flight_ >= max_in_flight) return Joined::full;
    const auto work = graph_.pop_in_order(static_cast<runtime::ExecutorId>(executor));
    if (!work) return Joined::none;
    dispatch(*reinterpret_cast<Record*>(work.cookie), executor, true);
    return Joined::one;
  });
}

void RunState::placed(const Placed& placed) {
  for (const auto& [number, executor] : placed.tasks) {
    auto* record = find(number);
    if (record == nullptr || !record->in_flight || record->queue >= 0 || record->members > 1) continue;
    if (executor >= 0) join_queue(*record, executor);
  }
}

/// The program gets the address of the buffer, once its bytes are there.
void RunState::serve_read(Record& record) {
  const auto& operand = record.body->args.tensors.front();
  if (operand.buffer == nullptr) {
    wake(std::exchange(record.read_token, 0), std::nullopt, operand.tensor.buffer().offset);
  } else if (operand.buffer->kept_by() != nullptr) {
    effects_.reads.push_back(record.number);
  } else {
    read_is_home(record.number, std::nullopt);
  }
}

std::shared_ptr<Buffer> RunState::to_read(TaskNumber task) const {
  const auto* record = find(task);
  return record == nullptr ? nullptr : record->body->args.tensors.front().buffer->shared_from_this();
}

void RunState::read_is_home(TaskNumber task, const std::optional<Error>& error) {
  auto* record = find(task);
  if (record == nullptr || record->read_token == 0) return;
  const auto& operand = record->body->args.tensors.front();
  auto& buffer = *operand.buffer;
  auto why = buffer.loss_in(box_of(operand));
  if (!why) why = error;
  const auto place = why ? Result<std::byte*>(*why) : buffer.host();
  if (!place) why = place.error();
  const auto token = std::exchange(record->read_token, 0);
  wake(token, why, why ? 0 : static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(*place)));
  if (why) read_done(task);
}

void RunState::read_done(TaskNumber task) {
  auto* record = find(task);
  if (record == nullptr) return;
  if (!record->in_flight) {
    // Given up before the data came.
    record->read_token = 0;
    graph_.cancel(record->id, Error(Errc::cancelled, "the read was given up"));
    return;
  }
  --reads_open_;
  graph_.complete(record->id);
  ended(*record, std::nullopt, false);
}

void RunState::results(RunResults& results) {
  seen_ += results.results.size();
  for (auto& result : results.results) one_result(result);
}

void RunState::one_result(TaskResult& result) {
  auto* record = find(result.key.task);
  if (record == nullptr || !record->in_flight || record->attempt != result.key.attempt) return;
  if (tracer_ && record->kind == program_kind) {
    tracer_->program_ran(*record->body, result.key, result.error ? &*result.error : nullptr);
  }
  report_.inside += result.inside;
  if (result.outcome != Outcome::done) {
    record->touched = record->touched || !result.untouched;
    if (record->outcome == Outcome::done) record->outcome = result.outcome;
    // A member that ended because of another (it was asked to, or lost its peer) is not the cause, even when
    // it answers first.
    const auto asked = [](const Error& error) { return error.root() == platform::Errc::aborted; };
    const auto follows = [&](const Error& error) {
      return asked(error) || error.root() == comm::Errc::peer_lost;
    };
    if (result.error && !(record->halting && asked(*result.error)) &&
        (!record->error || (follows(*record->error) && !follows(*result.error)))) {
      record->outcome = result.outcome;
      record->error = located(*result.error, result.executor);
    }
  }
  if (++record->answered == record->members) return attempt_over(*record);
  // It is one task: its other members may wait for the one that has failed, and are of no use without it.
  if (result.outcome != Outcome::done && !std::exchange(record->halting, true)) {
    effects_.cancels.push_back(record->number);
  }
}

}  // namespace troupe::actors
