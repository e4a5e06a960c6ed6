// An orchestration of many: what it does says its first scalar. Its tensors: x, y, and z of 64 floats, and
// notes of 64 int32.
#include "orchestration/objects/scenarios.hpp"

#include <sched.h>

#include "support/orchestration_object.hpp"

namespace {

enum Kernel : int {
  linear = 0,
  contexts = 1,
  counter = 2,
  defers = 3,
  raises = 4,
  meets = 5,
  copies_word = 6
};

using object::Compare;
using object::Mode;
using object::NewTensor;
using object::Outputs;
using object::Scope;
using object::Tensor;

std::uint64_t scale(const Tensor& from, const Tensor& to, float a, float b = 0.0f) {
  TaskArguments task;
  task.in(from).out(to).scalar(a).scalar(b);
  return object::aiv(linear, task).task;
}
Outputs scaled(const Tensor& from, float a, float b = 0.0f) {
  NewTensor made(from.shape, from.ndims);
  TaskArguments task;
  task.in(from).out(made).scalar(a).scalar(b);
  return object::aiv(linear, task);
}
std::uint64_t in_place(const Tensor& tensor, float a, float b, const std::uint64_t* after = nullptr) {
  TaskArguments task;
  task.unordered(tensor).inout(tensor).scalar(a).scalar(b);
  if (after != nullptr) task.after(after, 1);
  return object::aiv(linear, task).task;
}

void run_predicates(const ChipArguments& run) {
  const Tensor& notes = run.tensor(3);
  const struct {
    std::uint32_t element;
    Compare operation;
    std::int64_t target;
  } all[] = {{0, Compare::equal, -3},   {0, Compare::equal, 3},          {0, Compare::not_equal, 3},
             {0, Compare::greater, -4}, {0, Compare::greater, -3},       {0, Compare::less, -2},
             {0, Compare::less, -3},    {0, Compare::greater_equal, -3}, {0, Compare::less_equal, -4},
             {1, Compare::none, 77}};
  const Tensor one_of_x = run.tensor(0).rows(0, 1);
  std::uint32_t row = 0;
  for (const auto& one : all) {
    const Tensor place = run.tensor(1).rows(row, row + 1);
    ++row;
    TaskArguments task;
    task.in(one_of_x).out(place).scalar(0.0f).scalar(1.0f);
    task.when(notes, one.element, one.operation, one.target);
    object::aiv(linear, task);
  }
  // An unsigned byte is compared as if it had a sign.
  const std::uint32_t bytes[] = {256};
  const Tensor as_bytes = object::external(notes.address, bytes, 1, object::Type::u8);
  const Tensor first = run.tensor(2).rows(0, 1), second = run.tensor(2).rows(1, 2);
  TaskArguments task;
  task.in(one_of_x).out(first).scalar(0.0f).scalar(1.0f);
  task.when(as_bytes, 0, Compare::equal, -3);
  object::aiv(linear, task);
  Tensor nowhere = notes;
  nowhere.address = 0;
  TaskArguments always;
  always.in(one_of_x).out(second).scalar(0.0f).scalar(1.0f);
  always.when(nowhere, 0, Compare::equal, -3);
  object::aiv(linear, always);
}

void run_dummies(const ChipArguments& run) {
  const std::uint64_t first = scale(run.tensor(0), run.tensor(1), 2);
  TaskArguments meeting;
  meeting.inout(run.tensor(1)).after(&first, 1);
  const std::uint64_t met = object::dummy(meeting).task;
  TaskArguments last;
  last.in(run.tensor(1)).out(run.tensor(2)).scalar(1.0f).scalar(1.0f).after(&met, 1);
  object::aiv(linear, last);
}

void run_elements(const ChipArguments& run) {
  const auto made = scaled(run.tensor(0), 2);
  const float doubled = object::get<float>(made[0], 5);
  object::set(made[0], 5, doubled + 100);
  scale(made[0], run.tensor(1), 1);
  const std::uint32_t at = 7;
  object::set(run.tensor(3), at, std::int32_t{42});
  object::set(run.tensor(3), 8, object::get<std::int32_t>(run.tensor(3), at) + 1);
}

void run_blocks(const ChipArguments& run, std::int16_t count, object::Kernels kernels,
                bool together = false) {
  TaskArguments task;
  task.out(run.tensor(3)).blocks(count, together);
  object::submit(kernels, task);
}

void run_memory_again(const ChipArguments& run) {
  for (int round = 0; round < 200; ++round) {
    Scope scope;
    const auto made = scaled(run.tensor(0), 1, 1);
    if (made.count == 0) return;
    const auto more = scaled(made[0], 1, 1);
    if (more.count == 0) return;
    scale(more[0], run.tensor(1), 1, static_cast<float>(round));
  }
}
void run_memory_gone(const ChipArguments& run) {
  for (int round = 0; round < 200; ++round) scaled(run.tensor(0), 1, 1);
}

void run_graphs(const ChipArguments& run) {
#ifdef OBJECT_HOST_GRAPH
  for (int round = 0; round < 3; ++round) {
    object::GraphArguments boundary;
    boundary.in(run.tensor(0)).inout(run.tensor(1)).scalar(static_cast<float>(round));
    object::graph(77, boundary, [](const object::GraphArguments& inside) {
      const auto made = scaled(inside.tensor(0), 1, inside.scalar_as<float>(0));
      TaskArguments add;
      add.in(made[0]).inout(inside.tensor(1)).scalar(1.0f).scalar(0.0f);
      object::aiv(linear, add);
    });
  }
#else
  scale(run.tensor(0), run.tensor(1), 1, 2);
#endif
}

// A task behind a graph whose tasks write its input in an order of which nothing is inferred.
void run_after_graph(const ChipArguments& run) {
  const Scope manual(object::Mode::manual);
#ifdef OBJECT_HOST_GRAPH
  object::GraphArguments boundary;
  boundary.in(run.tensor(0)).inout(run.tensor(1)).scalar(0.0f);
  const std::uint64_t graph = object::graph(78, boundary, [](const object::GraphArguments& inside) {
    const Tensor &from = inside.tensor(0), &to = inside.tensor(1);
    scale(from.rows(0, 32), to.rows(0, 32), 1);
    scale(from.rows(32, 64), to.rows(32, 64), 1);
  });
#else
  const std::uint64_t graph = scale(run.tensor(0), run.tensor(1), 1);
#endif
  TaskArguments last;
  last.in(run.tensor(1)).out(run.tensor(2)).scalar(2.0f).scalar(0.0f).after(&graph, 1);
  object::aiv(linear, last);
}

/// Kernels that wait until `count` have come: they do only if they run at the same time.
void run_meeting(const ChipArguments& run, const object::Kernels& kernels, std::int64_t count,
                 std::int16_t blocks) {
  TaskArguments task;
  task.unordered(run.tensor(3)).scalar(count).blocks(blocks, true);
  object::submit(kernels, task);
}

// A task that ends when a counter has been raised twice, and one that reads the counter after it.
void run_notified(const ChipArguments& run) {
  const Tensor &notes = run.tensor(3), written = notes.rows(0, 1), word = notes.rows(1, 2),
               seen = notes.rows(2, 3);
  TaskArguments waiting;
  waiting.out(written).unordered(word);
  for (const std::int64_t told : {0, 0, 2, 1, 0}) waiting.scalar(told);
  object::aiv(defers, waiting);
  TaskArguments after;
  after.in(written).unordered(word).out(seen);
  object::aiv(copies_word, after);
  for (int i = 0; i < 2; ++i) {
    TaskArguments raise;
    raise.unordered(word).scalar(std::int64_t{0});
    object::aiv(raises, raise);
  }
}

void run_deferred(const ChipArguments& run) {
  TaskArguments task;
  const auto scalar = [&](int i) { return run.scalar_as<std::int64_t>(1 + i); };
  const Tensor written = run.tensor(3).rows(0, 1), word = run.tensor(3).rows(1, 2);
  task.out(written).unordered(word);
  for (int i = 0; i < 5; ++i) task.scalar(scalar(i));
  object::aiv(defers, task);
}

}  // namespace

extern "C" OBJECT_EXPORT void aicpu_orchestration_entry(const ChipArguments& run) {
  const Tensor &x = run.tensor(0), &y = run.tensor(1), &z = run.tensor(2), &notes = run.tensor(3);
  switch (run.scalar_as<int>(0)) {
    case write_after_read:
      scale(x, y, 2);
      in_place(x, 0, 7);
      break;
    case manual_unordered: {
      Scope scope(Mode::manual);
      for (int i = 0; i < 2; ++i) {  // of a kernel that writes atomically: nothing orders them
        TaskArguments task;
        task.out(y);
        object::aiv(counter, task);
      }
      break;
    }
    case manual_ordered: {
      Scope scope(Mode::manual);
      const auto made = scaled(x, 2);
      TaskArguments task;
      task.in(made[0]).out(y).scalar(3.0f).scalar(0.0f).after(&made.task, 1);
      object::aiv(linear, task);
      break;
    }
    case ordered_by_creator: {
      const auto made = scaled(x, 2);
      TaskArguments unordered;
      unordered.unordered(made[0]).out(y).scalar(1.0f).scalar(0.0f);
      object::aiv(linear, unordered);
      const Tensor apart = made[0].rows(0, 32, true);
      scale(apart, z.rows(0, 32), 1);
      break;
    }
    case disjoint_rows:
      in_place(y.rows(0, 32), 0, 1);
      in_place(y.rows(32, 64), 0, 2);
      in_place(y.rows(16, 48), 1, 10);
      break;
    case wait_or_retain: {
      Scope scope(Mode::manual);
      const auto made = scaled(x, 2);
      TaskArguments task;
      task.in(x).out(y).scalar(1.0f).scalar(0.0f).after(&made.task, 1);
#ifndef OBJECT_HOST_GRAPH
      const std::uint8_t kind = object::retains;
      task.dependency_kinds = &kind;
#endif
      object::aiv(linear, task);
      break;
    }
    case not_a_task: {
      const std::uint64_t wrong = run.scalar_as<std::uint64_t>(1);
      in_place(x, 1, 1, &wrong);
      break;
    }
    case predicates:
      run_predicates(run);
      break;
    case dummies:
      run_dummies(run);
      break;
    case initial_values: {
#ifdef OBJECT_HOST_GRAPH
      const auto made = object::alloc_one(NewTensor(64u));
      scale(x, made[0], 0, 2.5f);  // what is there before may be no number
#else
      const auto made = object::alloc_one(NewTensor(64u).fill(2.5f));
      NewTensor filled = NewTensor(64u).fill(4.0f);
      TaskArguments task;
      task.in(x).out(filled).scalar(0.0f).scalar(0.0f).when(notes, 0, Compare::equal, 1);
      scale(object::aiv(linear, task)[0], z, 1);
#endif
      scale(made[0], y, 2);
      break;
    }
    case elements:
      run_elements(run);
      break;
    case some_blocks:
      run_blocks(run, 7, {-1, contexts, -1});
      break;
    case mixed:
      run_blocks(run, 1, {counter, counter, counter});
      break;
    case second_vector_lane:
      run_blocks(run, 1, {-1, -1, counter});
      break;
    case together:
      run_blocks(run, static_cast<std::int16_t>(object::vector_cores()), {-1, counter, -1}, true);
      break;
    case too_many_together:
      run_blocks(run, static_cast<std::int16_t>(object::clusters() + 1), {counter, counter, -1}, true);
      break;
    case counts:
      object::set(notes, 0, object::clusters());
      object::set(notes, 1, object::vector_cores());
      break;
    case reports:
      scale(x, y, 2);
      OBJECT_FATAL(run.scalar_as<int>(1), "told to, with %d", 12);
      OBJECT_FATAL(9, "too late");
      if (object::is_fatal() && scale(x, y, 2) == object::no_task && object::get<float>(x, 0) == 0.0f) break;
      throw std::runtime_error("it went on");
    case automatic_in_manual: {
      Scope outer(Mode::manual);
      Scope inner(Mode::automatic);
      break;
    }
    case manual_in_manual: {
      Scope outer(Mode::manual);
      Scope inner(Mode::manual);
      scale(x, y, 2);
      break;
    }
    case deep_scopes:
    case too_deep_scopes: {
      const int depth = run.scalar_as<int>(0) == deep_scopes ? 63 : 64;
      alignas(Scope) unsigned char places[64][sizeof(Scope)];
      for (int i = 0; i < depth; ++i) new (places[i]) Scope();
      const auto made = scaled(x, 2);
      if (made.count != 0) scale(made[0], y, 1);
      for (int i = depth; i-- > 0;) reinterpret_cast<Scope*>(places[i])->~Scope();
      break;
    }
    case early: {
      TaskArguments task;
      task.in(x).out(y).scalar(2.0f).scalar(0.0f);
      task.early_resolve = true;
      object::aiv(linear, task);
      break;
    }
    case bad_arguments: {
      TaskArguments task;
      task.scalar(1.0f).in(x);
      object::aiv(linear, task);
      break;
    }
    case no_blocks: {
      TaskArguments task;
      task.in(x).out(y).scalar(2.0f).scalar(0.0f).blocks(0);
      object::aiv(linear, task);
      break;
    }
    case no_kernel: {
      TaskArguments task;
      task.in(x);
      object::submit({}, task);
      break;
    }
    case unknown_kernel: {
      TaskArguments task;
      task.in(x);
      object::aiv(900, task);
      break;
    }
    case bad_allocation: {
      TaskArguments task;
      task.in(x);
      object::alloc(task);
      break;
    }
    case too_many_arguments: {
      TaskArguments task;
      task.tensor_count = 33;
      object::aiv(linear, task);
      break;
    }
    case memory_again:
      run_memory_again(run);
      break;
    case memory_gone:
      run_memory_gone(run);
      break;
    case outputs_side_by_side: {
      NewTensor first(10u), second(300u), third(1u);
      TaskArguments task;
      task.out(first).out(second).out(third);
      const auto made = object::dummy(task);
      object::set(notes, 0, static_cast<std::int32_t>(made[1].address - made[0].address));
      object::set(notes, 1, static_cast<std::int32_t>(made[2].address - made[1].address));
      object::set(notes, 2, static_cast<std::int32_t>(made[1].size));
      object::set(notes, 3, static_cast<std::int32_t>(made[0].owner == made.task));
      object::set(notes, 4, static_cast<std::int32_t>(made.count));
      break;
    }
    case many_tasks:
      for (int i = 0; i < run.scalar_as<int>(1); ++i) object::dummy(TaskArguments());
      break;
    case many_tasks_inside: {
      Scope scope;
      for (int i = 0; i < run.scalar_as<int>(1); ++i) object::dummy(TaskArguments());
      break;
    }
    case throws:
      throw std::runtime_error("an assertion of its own");
    case writes_log:
      OBJECT_LOG(error, "e %d", 1);
      OBJECT_LOG(warn, "w %d", 2);
      OBJECT_LOG(timing, "t %d", 3);
      OBJECT_LOG(info, "i %d", 4);
      OBJECT_LOG(debug, "d %d", 5);
      break;
    case after_graph:
      run_after_graph(run);
      break;
    case graphs:
      run_graphs(run);
      break;
    case dumps: {
      TaskArguments task;
      task.in(x).out(y).scalar(2.0f).scalar(0.0f);
      task.dump.mask = 2 | 4 | 8;
      task.dump.types[1] = 200;  // no type: that scalar is not shown
      object::aiv(linear, task);
      break;
    }
    case timed: {
      TaskArguments task;
      task.in(x).out(y).scalar(2.0f).scalar(0.0f);
      task.timing_slot = 3;
      object::aiv(linear, task);
      break;
    }
    case reads_made:
      object::get<float>(scaled(x, 2)[0], 0);
      break;
    case element_outside:
      object::get<float>(x, 1000);
      break;
    case writes_made:
      scale(x, y, 2);
      object::set(y, 0, 1.0f);
      break;
    case strided: {
      const std::uint32_t grid[] = {8, 8}, tile[] = {8, 4}, left[] = {0, 0}, right[] = {0, 4};
      const Tensor square = object::external(y.address, grid, 2, object::Type::f32);
      in_place(square.view(tile, left), 0, 1);
      in_place(square.view(tile, right), 0, 2);
      scale(square, object::external(z.address, grid, 2, object::Type::f32), 10);
      break;
    }
    case deferred:
      run_deferred(run);
      break;
    case until_fatal: {
      auto* started = run.scalar_as<std::int32_t*>(1);
      __atomic_store_n(started, 1, __ATOMIC_RELEASE);
      while (!object::is_fatal()) sched_yield();
      break;
    }
    case small_floats: {
      // Types of the newer architecture, of one byte, which troupe's own programs do not have.
      const std::uint32_t bytes[] = {64};
      NewTensor made(bytes, 1, object::Type::f8_e4m3);
      TaskArguments task;
      task.out(made);
      const auto first = object::dummy(task);
      const Tensor as_bytes = object::external(first[0].address, bytes, 1, object::Type::u8);
      TaskArguments both;
      both.in(as_bytes).unordered(first[0]);
      const auto second = object::dummy(both);
      object::set(notes, 0, static_cast<std::int32_t>(first[0].size));
      object::set(notes, 1, static_cast<std::int32_t>(second.task != object::no_task));
      break;
    }
    case meets_in_blocks:
      run_meeting(run, {-1, meets, -1}, 16, 16);
      break;
    case meets_in_cluster:
      run_meeting(run, {meets, meets, meets}, 24, 8);
      break;
    case meets_across_tasks:
      for (int i = 0; i < 5; ++i)
        run_meeting(run, {i % 2 == 0 ? meets : -1, i % 2 == 0 ? -1 : meets, -1}, 5, 1);
      break;
    case notified:
      run_notified(run);
      break;
    case unbegun_scope:
      object::bound()->ops->scope_end(object::bound());
      break;
    default:
      OBJECT_FATAL(9, "no such scenario");
  }
}
