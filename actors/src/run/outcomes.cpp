// A run: how an attempt of a task ended. It is done, or tried again, or has failed, with what its error says.
#include <string>
#include <string_view>

#include "plan/plan.hpp"
#include "run/state.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// Of a name in such a story; longer ones are cut.
constexpr std::size_t longest_name_told = 63;

/// Whose kernel crashed is told from who was only there: the story of a chip's death names the task, or all
/// that were inside a kernel then. Where it names only some of them, nobody is called innocent.
const char* how_it_ended(const TaskBody& body, bool lost, const Error& cause) {
  const auto& story = cause.message();
  const auto names = [&story](std::string_view task) {
    return story.find("of task '" + std::string(task.substr(0, longest_name_told))) != std::string::npos;
  };
  bool of_another = lost && names("") && story.find(" more") == std::string::npos && !names(body.name());
  if (const auto& bundle = body.callable->bundle; of_another && bundle) {
    for (std::uint32_t i = 0; i < bundle->size() && of_another; ++i) of_another = !names(bundle->name_of(i));
  }
  return of_another ? " was lost with its chip, by no fault of its own: " : " failed: ";
}

}  // namespace

/// An error with its executor's name in front; a level below has put its own there already.
Error RunState::located(const Error& error, std::int32_t executor) const {
  const auto index = static_cast<std::size_t>(executor);
  if (executor < 0 || !config_.executors || index >= config_.executors->size()) return error;
  const auto& name = (*config_.executors)[index];
  return error.path().rfind(name, 0) == 0 ? error : error.inside(name);
}

Error RunState::task_error(const Record& record) const {
  if (record.cancel_reason) return *record.cancel_reason;
  if (cancelled_ && record.outcome == Outcome::cancelled) return *cancelled_;
  const auto named = "task \"" + std::string(record.body->name()) + "\"";
  if (!record.error) {
    return {record.outcome == Outcome::cancelled ? Errc::cancelled : Errc::task_failed, named + " failed"};
  }
  const auto& cause = *record.error;
  // A program of the level below has named its own task already; this level adds the path only.
  if (record.kind == program_kind && record.outcome == Outcome::failed) return cause;
  const bool typed = cause == Errc::chip_lost || cause == Errc::data_lost || cause == Errc::chip_retired ||
                     cause == Errc::shut_down || cause == Errc::cancelled;
  const auto plain = record.outcome == Outcome::lost ? Errc::chip_lost : Errc::task_failed;
  const auto code = typed ? cause.code() : ErrorCode{static_cast<std::int32_t>(plain), error_name(plain)};
  Error error(code,
              named + how_it_ended(*record.body, record.outcome == Outcome::lost, cause) + cause.message(),
              cause.hint());
  if (!cause.path().empty()) error = error.inside(cause.path());
  return error.caused_by(cause);
}

void RunState::requeue(Record& record) {
  ++record.attempt;
  record.in_flight = false;
  record.queue = -1;
  graph_.requeue(record.id);
}

void RunState::attempt_over(Record& record) {
  --in_flight_;
  if (record.queue >= 0) queues_.leave(record.queue, record.number, record.outcome == Outcome::done);
  if (record.outcome == Outcome::done) {
    for (std::uint32_t i = 0; i < record.members; ++i) graph_.complete(record.id);
    return ended(record, std::nullopt, false);
  }
  const bool poisoned = graph_.is_poisoned(record.id);
  if (!poisoned && !cancelled_ && !record.cancel_reason) {
    // Skipped without being poisoned: an earlier task in the executor's queue failed, but this one does not
    // depend on it. It is sent again.
    if (record.outcome == Outcome::skipped) return requeue(record);
    if (record.retries > 0 && record.outcome != Outcome::cancelled) {
      --record.retries;
      ++report_.retried;
      return requeue(record);
    }
  }
  const auto error = task_error(record);
  // How far it has written is not known. Of a program, its own tasks have said what they leave.
  if (record.touched && record.kind != program_kind) void_outputs(record, error);
  const auto id = record.id;
  for (std::uint32_t i = 0; i < record.members; ++i) graph_.fail(id, error);
  if (!poisoned) return ended(record, error, false);
  // The graph tells the cause through pop_ended or error(); either way it is the producer's failure.
  const auto cause = graph_.error(id);
  ended(record, cause ? *cause : error, true);
}

/// Tasks that ended in the graph without running: poisoned or cancelled.
void RunState::reap() {
  while (auto over = graph_.pop_ended()) {
    auto* record = find(reinterpret_cast<Record*>(over->cookie)->number);
    if (record == nullptr || !(record->id == over->id)) continue;
    const auto error = record->cancel_reason ? record->cancel_reason : over->error;
    ended(*record, error, error.has_value() && !record->cancel_reason);
  }
}

}  // namespace troupe::actors
