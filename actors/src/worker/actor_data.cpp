// A worker's data: what its directory orders, and what others want of it.
#include "troupe/actors/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

/// Before any task that comes after: chips take them in order.
void WorkerActor::send_orders() {
  for (auto& [index, orders] : data_.take_orders()) {
    if (const auto& chip = children_[index].chip) send(chip, std::move(orders));
  }
  for (auto& buffer : data_.take_fetches()) fetch(std::move(buffer));
}

/// Bytes have come, or will not.
void WorkerActor::data_changed() {
  send_orders();
  placement_.data_came();
  dispatch();
}

void WorkerActor::stored(Stored& news) {
  if (news.executor < 0) {
    for (const auto& one : news.pieces) data_.fetched(one.buffer, one.error);
    return data_changed();
  }
  if (!children_.knows(news.executor) || children_[news.executor].incarnation != news.incarnation) return;
  for (const auto& one : news.pieces) data_.stored(news.executor, one);
  data_changed();
  remove_if_idle(news.executor);
}

void WorkerActor::room_wanted(const RoomWanted& request) {
  if (!children_.knows(request.executor) || children_[request.executor].incarnation != request.incarnation)
    return;
  for (const auto& piece : request.pieces) data_.asks_for_room(request.executor, piece);
  send_orders();
}

caf::typed_response_promise<Result<bool>> WorkerActor::bring_home(const BringHome& order) {
  auto promise = replies_.owe<Result<bool>>();
  data_.bring_home(
      order.buffer,
      [promise](const std::optional<Error>& error) {
        promise.deliver(error ? Result<bool>(*error) : Result<bool>(true));
      },
      order.all ? Directory::Wanted::newest : Directory::Wanted::what_ended);
  send_orders();
  return promise;
}

/// What was made again is nothing that its run asked for.
void WorkerActor::take_remade(std::vector<TaskResult>& results) {
  const auto count = std::erase_if(results, [&](const TaskResult& result) { return data_.remade(result); });
  if (count == 0) return;
  send_orders();
  placement_.data_came();  // also groups, which are not held
}

/// Runs that wait until nothing is made again in their name.
void WorkerActor::settle_runs() {
  std::erase_if(settling_, [&](auto& waiting) {
    if (data_.remakes_for(waiting.first)) return false;
    waiting.second.deliver(true);
    return true;
  });
}

caf::typed_response_promise<bool> WorkerActor::settle(RunId run) {
  auto promise = replies_.owe<bool>();
  if (data_.remakes_for(run)) {
    settling_.emplace_back(run, promise);
  } else {
    promise.deliver(true);
  }
  return promise;
}

/// The newest bytes are with another node, perhaps of another system.
void WorkerActor::fetch(std::shared_ptr<Buffer> buffer) {
  const auto number = buffer->number();
  const auto from = buffer->keeper();
  const auto came = [this, number](const std::optional<Error>& error) {
    data_.fetched(number, error);
    data_changed();
  };
  if (!from || from == shared_->link) return came(std::nullopt);
  const Error gone(Errc::data_lost, "the newest bytes of " + buffer->title() + " were with " + from->path() +
                                        ", which is gone");
  if (from->services() != services_.get()) return fetch_from_another_system(from, std::move(buffer));
  const auto there = from->worker();
  if (!there) return came(gone);
  request(there, caf::infinite, BringHome{std::move(buffer), true})
      .then([came](
                const Result<bool>& home) { came(home ? std::nullopt : std::optional<Error>(home.error())); },
            [came, gone](const caf::error& error) { came(error_from(error, gone)); });
}

/// Its actors end when they like; a thread that may wait asks as a user would.
void WorkerActor::fetch_from_another_system(std::shared_ptr<NodeLink> from, std::shared_ptr<Buffer> buffer) {
  const auto number = buffer->number();
  auto self = caf::actor_cast<caf::weak_actor_ptr>(address());
  services_->run_apart("troupe-fetch", [from = std::move(from), buffer = std::move(buffer), self, number] {
    std::optional<Error> problem;
    try {
      buffer->bring_home(true);
    } catch (const Error& error) {
      problem = error;
    }
    if (const auto worker = caf::actor_cast<Worker>(self))
      caf::anon_send(worker, Stored{-1, 0, {{number, 0, std::move(problem)}}});
  });
}

/// The end: what only chips have goes to host memory, so that tensors stay readable.
void WorkerActor::store_chips(std::function<void()> then) {
  const auto open = std::make_shared<std::int32_t>(children_.size() + 1);
  const auto one = [open, then = std::move(then)] {
    if (--*open == 0) then();
  };
  for (std::int32_t index = 0; index < children_.size(); ++index) {
    const auto& it = children_[index];
    const bool there = it.kind == ExecutorKind::chip && it.state == ExecutorState::up;
    there ? data_.store_all(index, one) : one();
  }
  send_orders();
  one();
}

}  // namespace troupe::actors
