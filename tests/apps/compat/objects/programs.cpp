// Orchestrations as users write them, an entry each. Kernels: 0 affine, 1 matmul, 2 echo, 3 defers.
#include <sched.h>

#include "support/orchestration_views.hpp"

using object::Compare;
using object::Mode;
using object::NewTensor;
using object::Scope;
using object::Tensor;
using object::Type;

namespace {

enum Kernel : int { affine = 0, matmul = 1, echo = 2, defers = 3 };

object::Outputs apply(const Tensor& x, const Tensor& y, std::int64_t a, std::int64_t b) {
  TaskArguments task;
  task.in(x).out(y).scalar(a).scalar(b);
  return object::aiv(affine, task);
}
/// As large as x.
object::Outputs applied(const Tensor& x, std::int64_t a, std::int64_t b) {
  const NewTensor like(x.shape, x.ndims, x.type);
  TaskArguments task;
  task.in(x).out(like).scalar(a).scalar(b);
  return object::aiv(affine, task);
}
std::uint32_t least(std::uint32_t a, std::uint32_t b) { return a < b ? a : b; }

}  // namespace

/// c += a * b in tiles of a size that divides nothing: (a, b, c), the tile.
extern "C" OBJECT_EXPORT void tiles_entry(const ChipArguments& run) {
  const Tensor &a = run.tensor(0), &b = run.tensor(1), &c = run.tensor(2);
  const auto tile = static_cast<std::uint32_t>(run.scalar_as<std::uint64_t>(0));
  for (std::uint32_t i = 0; i < c.shape[0]; i += tile) {
    for (std::uint32_t j = 0; j < c.shape[1]; j += tile) {
      const Scope scope;
      const std::uint32_t rows = least(tile, c.shape[0] - i), columns = least(tile, c.shape[1] - j);
      const std::uint32_t of_c[] = {rows, columns}, at_c[] = {i, j};
      const Tensor target = c.view(of_c, at_c);
      for (std::uint32_t k = 0; k < a.shape[1]; k += tile) {
        const std::uint32_t depth = least(tile, a.shape[1] - k);
        const std::uint32_t of_a[] = {rows, depth}, at_a[] = {i, k}, of_b[] = {depth, columns},
                            at_b[] = {k, j};
        const Tensor left = a.view(of_a, at_a), right = b.view(of_b, at_b);
        TaskArguments task;
        task.in(left).in(right).inout(target);
        object::aic(matmul, task);
      }
    }
  }
}

/// Every scalar that it has got, and some of each width of its own: (out).
extern "C" OBJECT_EXPORT void scalars_entry(const ChipArguments& run) {
  TaskArguments task;
  task.out(run.tensor(0));
  for (int i = 0; i < run.scalar_count; ++i) task.scalar(run.scalars[i]);
  task.scalar(true)
      .scalar(std::int8_t{-1})
      .scalar(std::uint16_t{65535})
      .scalar(-2)
      .scalar(1.5f)
      .scalar(-0.25);
  object::aiv(echo, task);
}

/// Views of views: (x of 6 by 4, y of 4 by 6, z of 24).
extern "C" OBJECT_EXPORT void views_entry(const ChipArguments& run) {
  const Tensor &x = run.tensor(0), &y = run.tensor(1), &z = run.tensor(2);
  const Tensor turned = object::transpose(x, 0, 1);
  apply(turned, y, 1, 0);
  // Every second row of y, backwards through a copy that the chip makes.
  const Tensor even = object::slice(y, 0, 0, 4, 2);
  const auto doubled = applied(even, 2, 0);
  apply(doubled[0], even, 1, 1);
  const std::uint32_t flat[] = {24}, cube[] = {2, 3, 4};
  const Tensor all = object::reshape(y, flat, 1);
  const Tensor deep = object::reshape(object::reshape(z, cube, 3), flat, 1);
  apply(all, object::copy_of(deep), 1, 0);
}

/// Outputs of an outer scope in inner ones, and outputs by the hundred that stay where they are: (x, y).
extern "C" OBJECT_EXPORT void nested_scopes_entry(const ChipArguments& run) {
  const Tensor &x = run.tensor(0), &y = run.tensor(1);
  const auto kept = applied(x, 1, 1);
  const Tensor& first = kept[0];
  std::uint64_t before = object::no_task;
  for (int i = 0; i < 300; ++i) {
    const Scope scope;
    const auto next = applied(first, 1, i);
    {
      const Scope inner(i % 2 == 0 ? Mode::automatic : Mode::manual);
      TaskArguments task;
      task.in(next[0]).out(y).scalar(std::int64_t{1}).scalar(std::int64_t{0});
      if (i % 2 != 0) {
        // Nothing is inferred there: behind its producer, and behind the last one that wrote z.
        object::TaskArgumentsWithDependencies<> last;
        last.in(next[0]).out(run.tensor(2)).scalar(std::int64_t{1}).scalar(std::int64_t{0});
        last.add(next.task);
        if (before != object::no_task) last.add(before);
        before = object::aiv(affine, last.ready()).task;
      } else {
        object::aiv(affine, task);
      }
    }
    if (i == 299) apply(first, x, 10, 0);
  }
}

/// Dependencies by hand, with their kinds: (x, y) y = ((x + 1) * 2) + 3.
extern "C" OBJECT_EXPORT void by_hand_entry(const ChipArguments& run) {
  const Scope scope(Mode::manual);
  const auto one = applied(run.tensor(0), 1, 1);
  const NewTensor like(run.tensor(0).shape, run.tensor(0).ndims, run.tensor(0).type);
  object::TaskArgumentsWithDependencies<> twice;
  twice.in(one[0]).out(like).scalar(std::int64_t{2}).scalar(std::int64_t{0});
  twice.add(one.task);
  const auto two = object::aiv(affine, twice.ready());
  TaskArguments nothing;
  nothing.after(&two.task, 1);
  const auto met = object::dummy(nothing);
  object::TaskArgumentsWithDependencies<4> last;
  last.in(two[0]).out(run.tensor(1)).scalar(std::int64_t{1}).scalar(std::int64_t{3});
  last.add(one.task, object::retains).add(two.task, object::retains).add(met.task, object::waits);
  object::aiv(affine, last.ready());
}

/// Predicates of each width over what a task has made: (x, y, flags of any type), the number that it compares
/// with.
extern "C" OBJECT_EXPORT void predicates_entry(const ChipArguments& run) {
  const Tensor &x = run.tensor(0), &y = run.tensor(1), &flags = run.tensor(2);
  const auto target = run.scalar_as<std::int64_t>(0);
  const auto made = applied(flags, 1, 0);
  for (std::uint32_t row = 0; row < 6; ++row) {
    const Tensor from = x.rows(row, row + 1), to = y.rows(row, row + 1);
    TaskArguments task;
    task.in(from).out(to).scalar(std::int64_t{1}).scalar(std::int64_t{0}).after(&made.task, 1);
    task.when(made[0], 1, static_cast<Compare>(row + 1), target);
    object::aiv(affine, task);
  }
}

/// Blocks: (out), blocks, which cores (bits: AIC 1, AIV0 2, AIV1 4), whether together.
extern "C" OBJECT_EXPORT void blocks_entry(const ChipArguments& run) {
  TaskArguments task;
  task.out(run.tensor(0));
  const auto cores = run.scalar_as<std::int64_t>(1);
  task.blocks(static_cast<std::int16_t>(run.scalar_as<std::int64_t>(0)), run.scalar_as<std::int64_t>(2) != 0);
  object::submit({(cores & 1) != 0 ? echo : -1, (cores & 2) != 0 ? echo : -1, (cores & 4) != 0 ? echo : -1},
                 task);
}

/// As many tensors and scalars as a task can have, and more: (x, y, out), the counts.
extern "C" OBJECT_EXPORT void limits_entry(const ChipArguments& run) {
  const auto tensors = run.scalar_as<std::int64_t>(0), scalars = run.scalar_as<std::int64_t>(1);
  TaskArguments task;
  task.in(run.tensor(0)).out(run.tensor(1));
  for (std::int64_t i = 2; i < tensors; ++i) task.unordered(run.tensor(0));
  task.scalar(std::int64_t{3}).scalar(std::int64_t{0});
  for (std::int64_t i = 2; i < scalars; ++i) task.scalar(i);
  // The kernel reads its scalars behind two tensors: another one for more.
  if (tensors == 2) {
    object::aiv(affine, task);
  } else {
    object::dummy(task);
  }
}

/// Elements of every type, read and written: (x, y of one type), an element.
extern "C" OBJECT_EXPORT void elements_entry(const ChipArguments& run) {
  const auto index = static_cast<std::uint32_t>(run.scalar_as<std::uint64_t>(0));
  const Tensor &x = run.tensor(0), &y = run.tensor(1);
  const std::uint32_t at[] = {index / x.shape[1], index % x.shape[1]};
  const auto word = object::get<std::uint64_t>(x, 2, at);
  object::bound()->ops->set(object::bound(), y, 2, at, word);
  if (run.tensor_count > 2) object::set(run.tensor(2), 0, word);
}

/// Goes on after its failure: (x, y), the code.
extern "C" OBJECT_EXPORT void after_fatal_entry(const ChipArguments& run) {
  const Tensor &x = run.tensor(0), &y = run.tensor(1);
  apply(x, y, 2, 0);
  OBJECT_FATAL(run.scalar_as<std::int32_t>(0), "a text that is %s", "long enough");
  const Scope scope;
  const auto made = applied(x, 3, 0);
  if (made.task != object::no_task || made.count != 0) throw std::runtime_error("a task after a fatal");
  if (object::get<float>(x, 0) != 0) throw std::runtime_error("an element after a fatal");
  if (object::alloc_one(NewTensor(4u)).count != 0) throw std::runtime_error("memory after a fatal");
  TaskArguments nothing;
  if (object::dummy(nothing).task != object::no_task) throw std::runtime_error("a dummy after a fatal");
  object::set(x, 0, 5.0f);
  OBJECT_FATAL(3, "a second one");
}

/// One reader of what so many have written: (x of that many rows, y).
extern "C" OBJECT_EXPORT void inferred_fan_entry(const ChipArguments& run) {
  const Tensor& x = run.tensor(0);
  for (std::uint32_t row = 0; row < x.shape[0]; ++row) {
    const Tensor one = x.rows(row, row + 1);
    TaskArguments task;
    task.inout(one);
    object::dummy(task);
  }
  TaskArguments all;
  all.in(x).out(run.tensor(1));
  object::dummy(all);
}

/// So many entries of written tensors: (x), tasks, tensors of each, whether each task's scope ends.
extern "C" OBJECT_EXPORT void entries_entry(const ChipArguments& run) {
  const Tensor& x = run.tensor(0);
  const auto tasks = run.scalar_as<std::int64_t>(0), tensors = run.scalar_as<std::int64_t>(1);
  const bool covers = run.scalar_as<std::int64_t>(2) == 2;
  Tensor rows[32];
  for (std::int64_t i = 0; i < tensors; ++i)
    rows[i] = x.rows(static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i) + 1);
  for (std::int64_t i = 0; i < tasks && !object::is_fatal(); ++i) {
    TaskArguments task;
    for (std::int64_t j = 0; j < tensors; ++j) covers ? task.inout(rows[j]) : task.out(rows[j]);
    if (run.scalar_as<std::int64_t>(2) == 1) {
      const Scope scope;
      object::dummy(task);
    } else {
      object::dummy(task);
    }
  }
}

/// Tasks that end when a counter is high enough, and one behind each: (notes of 32-bit integers, counters),
/// how high.
extern "C" OBJECT_EXPORT void deferred_entry(const ChipArguments& run) {
  const Tensor &notes = run.tensor(0), &counters = run.tensor(1);
  for (std::uint32_t i = 0; i < counters.shape[0]; ++i) {
    const Tensor note = notes.rows(2 * i, 2 * i + 1), behind = notes.rows(2 * i + 1, 2 * i + 2),
                 counter = counters.rows(i, i + 1);
    TaskArguments task;
    task.out(note).unordered(counter).scalar(run.scalar_as<std::int64_t>(0));
    object::aiv(defers, task);
    apply(note, behind, 1, i);
  }
}

/// Counts its calls in a static of the object: (out of one 64-bit integer).
extern "C" OBJECT_EXPORT void counts_calls_entry(const ChipArguments& run) {
  static std::int64_t calls = 0;
  object::set(run.tensor(0), 0, ++calls);
}

extern "C" OBJECT_EXPORT void throws_entry(const ChipArguments&) {
  throw std::runtime_error("an assertion failed");
}

struct ThreeArguments {
  std::int32_t expected;
};
extern "C" OBJECT_EXPORT ThreeArguments wants_three(const ChipArguments&) { return {3}; }

/// Timing slots, hints and marks for dumps change nothing: (x, y).
extern "C" OBJECT_EXPORT void hints_entry(const ChipArguments& run) {
  for (int slot = -1; slot < 16; ++slot) {
    TaskArguments task;
    task.in(run.tensor(0)).out(run.tensor(1)).scalar(std::int64_t{1}).scalar(std::int64_t{slot});
    task.timing_slot = slot;
    task.early_resolve = slot % 2 == 0;
    task.dump.mask = ~std::uint64_t{0};
    object::aiv(affine, task);
  }
}

/// Answers each message of a queue with its bytes plus one, until it is told to stop: twelve scalars of the
/// queue.
extern "C" OBJECT_EXPORT void queue_entry(const ChipArguments& run) {
  struct Slot {
    std::uint64_t number, opcode, offset, bytes;
  };
  const auto word = [&](int i) { return run.scalar_as<std::uint64_t>(i); };
  auto* payload = reinterpret_cast<unsigned char*>(word(2));
  const auto counter = [&](std::uint64_t offset) {
    return reinterpret_cast<std::int32_t*>(word(4) + offset);
  };
  const auto depth = static_cast<std::int32_t>(word(7));
  auto* in_slots = reinterpret_cast<Slot*>(payload);
  auto* out_slots = in_slots + depth;
  auto* in_arena = reinterpret_cast<unsigned char*>(out_slots + depth);
  auto* out_arena = in_arena + word(8);
  std::uint64_t used = 0;
  for (std::int32_t taken = 0;; ++taken) {
    while (__atomic_load_n(counter(0), __ATOMIC_ACQUIRE) <= taken) {
      if (object::is_fatal()) return;
      sched_yield();
    }
    const Slot message = in_slots[taken % depth];
    if (message.opcode == 2) return;
    if (used % word(9) + message.bytes > word(9)) used = 0;
    auto* answer = out_arena + used % word(9);
    for (std::uint64_t i = 0; i < message.bytes; ++i)
      answer[i] = static_cast<unsigned char>(in_arena[message.offset + i] + 1);
    while (taken - __atomic_load_n(counter(192), __ATOMIC_ACQUIRE) >= depth) sched_yield();
    out_slots[taken % depth] = {static_cast<std::uint64_t>(taken), 1, used % word(9), message.bytes};
    used += message.bytes;
    __atomic_store_n(counter(64), taken + 1, __ATOMIC_RELEASE);
    __atomic_store_n(counter(128), taken + 1, __ATOMIC_RELEASE);
  }
}

#ifdef OBJECT_HOST_GRAPH
namespace {
/// The flow of the other system's headers, to its end: also where a runtime wants to record.
template <class Body>
std::uint64_t submit_graph(std::uint64_t key, const object::GraphArguments& arguments, Body body) {
  using object::bound;
  if (object::is_fatal()) return object::no_task;
  const object::GraphScope scope = bound()->ops->graph_begin(bound(), key, arguments);
  if (scope.recording) {
    if (bound()->ops->graph_prepare(bound(), scope.handle, arguments)) {
      body(arguments);
      bound()->ops->graph_end(bound());
    }
    return scope.task;
  }
  if (scope.execute_block) body(arguments);
  return scope.task;
}
}  // namespace

/// The same graph over other rows each time, a scalar that is forwarded, and one task behind each: (x, y, z).
extern "C" OBJECT_EXPORT void graph_entry(const ChipArguments& run) {
  for (std::uint32_t row = 0; row < run.tensor(0).shape[0]; ++row) {
    const Tensor x = run.tensor(0).rows(row, row + 1), y = run.tensor(1).rows(row, row + 1),
                 z = run.tensor(2).rows(row, row + 1);
    object::GraphArguments boundary;
    boundary.in(x).out(y).scalar(std::int64_t{row});
    const std::uint64_t graph = submit_graph(99, boundary, [](const object::GraphArguments& inside) {
      const auto made = applied(inside.tensor(0), 2, 0);
      TaskArguments task;
      task.in(made[0]).out(inside.tensor(1)).scalar(std::int64_t{1}).scalar(inside.scalars[0]);
      const auto last = object::aiv(affine, task);
      TaskArguments meet;
      meet.after(&last.task, 1);
      object::dummy(meet);
    });
    TaskArguments behind;
    behind.in(y).out(z).scalar(std::int64_t{10}).scalar(std::int64_t{0}).after(&graph, 1);
    object::aiv(affine, behind);
  }
  object::bound()->ops->graph_commit(object::bound());
}
#endif
