#include "run/in_order_queues.hpp"

namespace troupe::actors {

void InOrderQueues::join(std::int32_t executor, TaskNumber task) {
  if (static_cast<std::size_t>(executor) >= queues_.size())
    queues_.resize(static_cast<std::size_t>(executor) + 1);
  auto& queue = at(executor);
  queue.follow.push_back(task);
  ++queue.load;
  ++queue.budget;
  list(queue, executor);
}

void InOrderQueues::leave(std::int32_t executor, TaskNumber task, bool done) {
  auto& queue = at(executor);
  --queue.load;
  queue.torn = queue.torn || !done;
  if (queue.first < queue.follow.size() && queue.follow[queue.first] == task) {
    if (++queue.first * 2 > queue.follow.size()) {
      queue.follow.erase(queue.follow.begin(),
                         queue.follow.begin() + static_cast<std::ptrdiff_t>(queue.first));
      queue.first = 0;
    }
  } else {
    const auto from = queue.follow.begin() + static_cast<std::ptrdiff_t>(queue.first);
    queue.follow.erase(std::remove(from, queue.follow.end(), task), queue.follow.end());
  }
  list(queue, executor);
}

}  // namespace troupe::actors
