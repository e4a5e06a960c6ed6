// Who gets a job, and who is woken for it.
#include "threads/job_queue.hpp"

#include <doctest/doctest.h>

#include <thread>

using namespace troupe::actors;

namespace {

struct Job final : caf::resumable {
  resume_result resume(caf::execution_unit*, std::size_t) override { return done; }
  void intrusive_ptr_add_ref_impl() override {}
  void intrusive_ptr_release_impl() override {}
};

/// A worker that takes one job. It sleeps when this returns.
std::thread sleeping_worker(JobQueue& queue, caf::resumable*& got) {
  const int before = queue.parked();
  std::thread worker([&] {
    queue.begin_looking(JobQueue::Who::worker);
    got = queue.pop();
    queue.end_looking(JobQueue::Who::worker);
  });
  while (queue.parked() == before) std::this_thread::yield();
  return worker;
}

}  // namespace

TEST_CASE("a job that a worker was to take wakes another one when that enters a user's code") {
  JobQueue queue;
  Job job;
  caf::resumable* got = nullptr;
  auto sleeper = sleeping_worker(queue, got);
  queue.begin_looking(JobQueue::Who::worker);  // this thread: it runs an actor, and then will look
  queue.push(&job);
  CHECK(queue.parked() == 1);
  queue.end_looking(JobQueue::Who::worker);  // or not: the actor has entered a user's code
  sleeper.join();
  CHECK(got == &job);
}

TEST_CASE("a job that comes while all others are inside users' code wakes a worker") {
  JobQueue queue;
  Job job;
  caf::resumable* got = nullptr;
  queue.begin_looking(JobQueue::Who::worker);
  queue.end_looking(JobQueue::Who::worker);
  auto sleeper = sleeping_worker(queue, got);
  queue.push(&job);
  sleeper.join();
  CHECK(got == &job);
}

TEST_CASE("a caller is not offered what is for workers, and does not keep them from being woken") {
  JobQueue queue;
  Job for_anybody, for_workers;
  caf::resumable* got = nullptr;
  auto sleeper = sleeping_worker(queue, got);
  queue.begin_looking(JobQueue::Who::caller);
  queue.push(&for_anybody);
  CHECK(queue.parked() == 1);  // this thread will take it
  queue.push_for_workers(&for_workers);
  sleeper.join();
  CHECK(got == &for_workers);
  CHECK(queue.try_pop() == &for_anybody);
  queue.push_for_workers(&for_workers);
  CHECK(queue.try_pop() == nullptr);
  CHECK(!queue.empty());
  queue.end_looking(JobQueue::Who::caller);
  CHECK(queue.pop() == &for_workers);
}

TEST_CASE("a closed queue gives what it has, then lets its workers go") {
  JobQueue queue;
  Job job;
  caf::resumable* got = &job;
  auto sleeper = sleeping_worker(queue, got);
  queue.close();
  sleeper.join();
  CHECK(got == nullptr);
  queue.push(&job);
  queue.begin_looking(JobQueue::Who::worker);
  CHECK(queue.pop() == &job);
  CHECK(queue.pop() == nullptr);
}
