// A placement: tasks that wait for their bytes, and the orders about copies that go between the tasks.
#include <algorithm>
#include <functional>

#include "placement/placement.hpp"
#include "plan/plan.hpp"
#include "tasks.hpp"

namespace troupe::actors {

/// Whether the task waits for its data, or for one that does; what it waits for is on its way then.
/// `refused`: its data is lost.
bool Placement::hold(std::int32_t executor, TaskRequest& request, std::optional<Error>& refused,
                     const Group* group) {
  auto& it = lane(executor);
  if (data_ == nullptr || it.kind == ExecutorKind::worker) return false;
  for (const auto& other : it.held) {
    if (follows(request, other.key)) return true;
  }
  if (it.kind == ExecutorKind::chip) stay_home(request, executor, group);
  const auto needs = data_->needs(request, executor);
  refused = needs.refused;
  if (refused) return true;
  for (const auto& missing : needs.home) data_->bring_home(missing);
  order_data();
  return needs.after_others || !needs.home.empty();
}

void Placement::give(std::int32_t executor, TaskRequest&& request) {
  auto& it = lane(executor);
  if (data_ != nullptr && it.kind != ExecutorKind::worker) {
    data_->dispatch(request, executor);
    order_data();
  }
  if (it.outbox.empty()) {
    outboxes_.push_back(executor);
    it.outbox.reserve(8);
  }
  it.outbox.push_back(std::move(request));
}

/// A chip gets orders about its copies between the tasks that were sent before and those that come after.
void Placement::order_data() {
  for (auto& [chip, orders] : data_->take_orders()) {
    close_outbox(chip);
    sends_.push_back({chip, {}, std::move(orders)});
  }
}

void Placement::close_outbox(std::int32_t executor) {
  auto& outbox = lane(executor).outbox;
  if (!outbox.empty()) sends_.push_back({executor, std::exchange(outbox, {}), {}});
}

/// Its place is free again; what follows it is skipped. Without an error it is skipped itself.
void Placement::refuse_held(std::int32_t executor, const TaskRequest& request,
                            const std::optional<Error>& error) {
  if (!settle_if_owed(executor, request.ticket)) return;
  refused_.push_back(
      not_begun(request.key, request.ticket, executor, error ? Outcome::failed : Outcome::skipped, error));
  skip_followers(executor, request.key);
}

/// Whether its answer is still owed; it is not any more.
bool Placement::settle_if_owed(std::int32_t executor, Ticket ticket) {
  auto& it = lane(executor);
  if (ticket < it.first || ticket - it.first >= it.flights.size()) return false;
  auto& flight = it.flights[ticket - it.first];
  if (flight.ended) return false;
  end(executor, flight);
  touch(executor);
  return true;
}

void Placement::data_came() {
  group_follows_ = false;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    auto& it = lanes_[i];
    // Of a chip that is being reset they are answered when that is done.
    if (it.held.empty() || !it.up) continue;
    const auto executor = static_cast<std::int32_t>(i);
    std::vector<TaskKey> failed;
    for (auto& request : std::exchange(it.held, {})) {
      const bool is_behind = std::any_of(failed.begin(), failed.end(),
                                         [&](const TaskKey& task) { return follows(request, task); });
      std::optional<Error> refused;
      if (!is_behind && !hold(executor, request, refused)) {
        give(executor, std::move(request));
      } else if (is_behind || refused) {
        failed.push_back(request.key);
        refuse_held(executor, request, refused);
      } else {
        it.held.push_back(std::move(request));
      }
    }
  }
  // Groups wait in their queues, and try again there.
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (!lanes_[i].queue.empty() && lanes_[i].queue.front().group) touch(static_cast<std::int32_t>(i));
  }
  drain_touched();
  data_->forget_troubles();
}

void Placement::stay_home(TaskRequest& request, std::int32_t chip, const Group* group) const {
  const auto& args = arguments_of(*request.body, request.key.member);
  const auto data_task = request.body->callable->data_task;
  if (data_task == DataTask::copy || data_task == DataTask::fill || data_task == DataTask::evict) {
    request.at_home.clear();
    for (std::size_t i = 0; i < args.tensors.size(); ++i) {
      if (args.tensors[i].buffer != nullptr) request.at_home.push_back(static_cast<std::uint32_t>(i));
    }
    return;
  }
  // Others than ours may compute with strides that they know.
  const auto& callable = *request.body->callable;
  const bool keeps_strides =
      callable.bundle ? callable.bundle->keeps_strides : callable.descriptor == nullptr;
  request.at_home = data_->stay_home(args, chip, data_task == DataTask::none && keeps_strides);
  if (request.members < 2) return;
  const auto shared = group != nullptr ? group->shared : shared_in(*request.body);
  if (shared.empty()) return;
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    if (std::binary_search(shared.begin(), shared.end(), args.tensors[i].buffer)) {
      request.at_home.push_back(static_cast<std::uint32_t>(i));
    }
  }
  std::sort(request.at_home.begin(), request.at_home.end());
  request.at_home.erase(std::unique(request.at_home.begin(), request.at_home.end()), request.at_home.end());
}

}  // namespace troupe::actors
