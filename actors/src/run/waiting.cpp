// What a run's program waits for, and whether it can come.
#include <algorithm>

#include "run/state.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

void RunState::wake(std::uint64_t token, std::optional<Error> error, std::uint64_t value) {
  if (error) error = error->inside(config_.node);
  effects_.wakes.push_back({token, std::move(error), value, ended_, nullptr});
}

void RunState::await(const Await& await) {
  if (cancelled_ && await.what != Await::What::data) return wake(await.token, *cancelled_);
  switch (await.what) {
    case Await::What::task:
      if (auto* record = find(await.task)) {
        record->waiters.push_back(await.token);
      } else {
        wake(await.token, failures_.await(await.task, latest()));
      }
      break;
    case Await::What::drained:
      drains_.push_back({await.token, await.task});
      break;
    case Await::What::room:
      rooms_.emplace_back(await.token, await.limit);
      if (tracer_) tracer_->waits_for_room(true);
      break;
    case Await::What::data:
      if (auto* record = find(await.task)) {
        record->read_token = await.token;
        if (record->in_flight) serve_read(*record);
      } else {
        wake(await.token,
             failures_.await(await.task, latest()).value_or(Error(Errc::wrong_program, "nothing to read")));
      }
      break;
  }
}

void RunState::serve_waiters() {
  std::erase_if(drains_, [this](const DrainWaiter& drain) {
    if (!everything_ended(drain.upto)) return false;
    wake(drain.token, failures_.await_all(drain.upto, latest()));
    return true;
  });
  std::erase_if(rooms_, [this](const auto& room) {
    if (live_ >= room.second) return false;
    wake(room.first, std::nullopt);
    return true;
  });
  if (tracer_) tracer_->waits_for_room(!rooms_.empty());
}

std::string RunState::why(TaskNumber task) const {
  const auto* record = find(task);
  if (record == nullptr) return "ended";
  if (record->in_flight) return record->kind == read_kind ? "the program reads it" : "with the node";
  return why_not_ready(*record);
}

std::string RunState::why_not_ready(const Record& record) const {
  return config_.executors ? graph_.why(record.id, *config_.executors) : graph_.why(record.id);
}

bool RunState::with_node(TaskNumber task) const {
  const auto* record = find(task);
  return record != nullptr && record->in_flight && record->kind != read_kind;
}
std::vector<TaskNumber> RunState::unfinished(std::size_t most) const {
  std::vector<TaskNumber> numbers;
  for (std::size_t i = 0; i < records_.size() && numbers.size() < most; ++i) {
    if (records_[i]) numbers.push_back(oldest_ + i);
  }
  return numbers;
}
std::string RunState::title(TaskNumber task) const {
  const auto* record = find(task);
  return "task " + std::to_string(task) +
         (record != nullptr ? " \"" + std::string(record->body->name()) + "\"" : std::string());
}

void RunState::check_stuck() {
  if (live_ == 0 || in_flight_ != 0 || reads_open_ != 0 || cancelled_) return;
  // A program that is on its way may still submit or release something; one that waits or is over will not.
  const bool waits = program_over_ || !drains_.empty() || !rooms_.empty() ||
                     std::any_of(records_.begin(), records_.end(), [](const auto& record) {
                       return record && (!record->waiters.empty() || record->read_token != 0);
                     });
  if (!waits) return;
  if (auto stuck = graph_.deadlock()) {
    cancel(Error(Errc::deadlock,
                 "program \"" + config_.name + "\" cannot go on: its tasks wait for what cannot come")
               .caused_by(*stuck));
    reap();
  }
}

}  // namespace troupe::actors
