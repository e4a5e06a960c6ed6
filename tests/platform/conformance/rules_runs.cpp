#include <atomic>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "platform/conformance/rules.hpp"

// What runs do, and how their ends are told.
namespace troupe::conformance {

namespace {

using platform::RunArgs;
using runtime::DType;
using runtime::Tag;
using runtime::Tensor;

void copies_in_and_out(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(1000), y(1000, -1.0f);
  std::iota(x.begin(), x.end(), 0.0f);
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {1000})), out(Tensor::host(y.data(), {1000})));
  s.answered(0, s.run(args.run(0, copy)), "run_runtime");
  require(y == x, "a run gave a wrong result");
}

void inputs_stay(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto scribble = s.kernel("conformance_scribble");
  std::vector<float> x(64, 5.0f), y(64, 0.0f);
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {64})), out(Tensor::host(y.data(), {64})));
  const auto code = s.run(args.run(0, scribble));
  const bool seen = code == TROUPE_DEVICE_KERNEL_FAILED;  // a platform may watch what kernels do
  if (!seen) s.answered(0, code, "run_runtime");
  require(y == std::vector<float>(64, seen ? 0.0f : 1.0f),
          seen ? "an output of a failed run was copied back" : "an output was not copied back");
  require(x == std::vector<float>(64, 5.0f), "an input was copied back");
}

void views(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto add = s.kernel("conformance_add_scalar");
  std::vector<float> data(64);
  std::iota(data.begin(), data.end(), 0.0f);
  const auto tile = Tensor::host(data.data(), {8, 8}).view({2, 3}, {4, 2});
  const auto args = RunArgs::of(inout(tile), runtime::scalar(100.0f));
  s.answered(0, s.run(args.run(0, add)), "run_runtime of a view");
  for (std::size_t i = 0; i < 64; ++i) {
    const auto row = i / 8;
    const auto column = i % 8;
    const bool inside = row >= 2 && row < 6 && column >= 3 && column < 5;
    require(data[i] == static_cast<float>(i) + (inside ? 100.0f : 0.0f),
            inside ? "an element of a view was not written back" : "an element outside a view was changed");
  }
}

void device_tensors(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(16, 3.0f), back(16);
  const auto first = s.malloc(64);
  const auto second = s.malloc(64);
  s.expect(0, "copy_to_device_ctx", api.copy_to_device_ctx, first, static_cast<const void*>(x.data()),
           std::uint64_t{64});
  const auto args =
      RunArgs::of(on_device(first, 64, Tag::in, DType::f32), on_device(second, 64, Tag::out, DType::f32));
  s.answered(0, s.run(args.run(0, copy)), "run_runtime on device tensors");
  s.expect(0, "copy_from_device_ctx", api.copy_from_device_ctx, static_cast<void*>(back.data()), second,
           std::uint64_t{64});
  require(back == x, "a device tensor did not get its result");
}

void asynchronous(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto add = s.kernel("conformance_add_scalar");
  const auto depth = probe.properties(s).queue_depth;
  const std::uint64_t count = std::min<std::uint64_t>(depth, 200);
  // A chain over one device tensor: any run out of order or twice shows in the sum.
  const auto x = s.malloc(64);
  const std::vector<float> zero(16, 0.0f);
  s.expect(0, "copy_to_device_ctx", probe.api().copy_to_device_ctx, x, static_cast<const void*>(zero.data()),
           std::uint64_t{64});
  auto arg = on_device(x, 64, Tag::inout, DType::f32);
  arg.ndims = 2;
  arg.shape[0] = arg.shape[1] = 4;
  arg.strides[0] = 4;
  arg.strides[1] = 1;
  std::vector<RunArgs> args;
  std::vector<troupe_run> runs;
  for (std::uint64_t i = 1; i <= count; ++i) {
    args.push_back(RunArgs::of(arg, runtime::scalar(1.0f)));
    if (i > 1) args.back().after(10 * (i - 1));
  }
  for (std::uint64_t i = 1; i <= count; ++i) runs.push_back(args[i - 1].run(10 * i, add));
  s.launch(runs);
  const auto ends = s.wait_for(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    require(ends[i].code == 0,
            "run " + std::to_string(ends[i].correlation) + " of a chain failed: " + ends[i].message);
    require(ends[i].correlation == 10 * (i + 1), "the runs of a chain ended out of order");
  }
  std::vector<float> back(16);
  s.expect(0, "copy_from_device_ctx", probe.api().copy_from_device_ctx, static_cast<void*>(back.data()), x,
           std::uint64_t{64});
  require(back == std::vector<float>(16, static_cast<float>(count)), "a chain of runs gave a wrong sum");
}

void callbacks_call_nothing(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto copy = s.kernel("conformance_copy");
  // Atomic: a platform that completes a run twice calls back while this looks.
  std::atomic<std::int32_t> malloc_code = 0, launch_code = 0;
  s.on_complete([&] {
    std::uint64_t address = 0;
    malloc_code = probe.api().device_malloc_ctx(s.handle(), 64, &address);
    launch_code = probe.api().launch_runs(s.handle(), nullptr, 0, 0);
  });
  std::vector<float> x(8, 1.0f), y(8);
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})));
  s.launch({args.run(1, copy)});
  s.wait_for(1);
  require(malloc_code == TROUPE_DEVICE_REENTRANT_CALL,
          "device_malloc_ctx inside a completion callback answered " + name_of_code(malloc_code));
  require(launch_code == TROUPE_DEVICE_REENTRANT_CALL,
          "launch_runs inside a completion callback answered " + name_of_code(launch_code));
}

void needs_callback(Probe& probe) {
  const auto subject = probe.create(false);
  auto& s = *subject;
  s.set_device();
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(8, 1.0f), y(8);
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})));
  const auto run = args.run(1, copy);
  s.expect(TROUPE_DEVICE_INVALID_STATE, "launch_runs without a completion callback", probe.api().launch_runs,
           &run, std::size_t{1}, std::uint64_t{0});
  s.answered(0, s.run(run), "run_runtime without a completion callback");
  require(y == x, "run_runtime gave a wrong result");
}

void launch_checks(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  const Waiting waiting{s};
  constexpr std::int32_t invalid = TROUPE_DEVICE_INVALID_ARGUMENT;
  const auto refused = [&](std::vector<troupe_run> runs, const char* what) {
    s.expect(invalid, std::string{"launch_runs with "} + what, api.launch_runs,
             static_cast<const troupe_run*>(runs.data()), runs.size(), std::uint64_t{0});
  };
  s.expect(0, "launch_runs of nothing", api.launch_runs, nullptr, std::size_t{0}, std::uint64_t{0});
  refused({waiting.run(0)}, "correlation 0");
  refused({waiting.run(5), waiting.run(5)}, "one correlation twice");
  refused({waiting.run(5), waiting.run(4)}, "falling correlations");
  auto null_tensors = waiting.run(6);
  null_tensors.tensors = nullptr;
  refused({waiting.run(5), null_tensors}, "null tensors");
  auto null_scalars = waiting.run(5);
  null_scalars.scalar_count = 3;
  null_scalars.scalars = nullptr;
  refused({null_scalars}, "null scalars");
  auto null_producers = waiting.run(5);
  null_producers.depends_count = 1;
  null_producers.depends_on = nullptr;
  refused({null_producers}, "null depends_on");
  auto absurd = waiting.run(5);
  absurd.tensor_count = 0x7FFFFFFF;
  refused({absurd}, "two thousand million tensors");
  require(s.ends().empty(), "a refused launch was completed");
  // Nothing of the refused batches was taken: 5 is still a higher number than any accepted one.
  s.launch({waiting.run(5)});
  refused({waiting.run(5)}, "a correlation that was used");

  const auto depth = probe.properties(s).queue_depth;
  std::vector<troupe_run> many;
  for (std::uint64_t i = 0; i < depth; ++i) many.push_back(waiting.run(10 + i));
  s.expect(TROUPE_DEVICE_QUEUE_FULL, "launch_runs beyond the queue depth", api.launch_runs,
           static_cast<const troupe_run*>(many.data()), many.size(), std::uint64_t{0});
  many.pop_back();
  s.launch(many);
  s.expect(0, "abort_runs", api.abort_runs, TROUPE_ALL_RUNS);
  s.wait_for(depth);
}

/// Launches one run and answers how it ended.
Subject::End end_of(Subject& s, const troupe_run& run) {
  const auto before = s.ends().size();
  s.launch({run});
  return s.wait_for(before + 1).back();
}

void bad_runs(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(16, 1.0f), y(16, 7.0f);
  const auto good_in = platform::tensor_arg(Tensor::host(x.data(), {16}), Tag::in);
  const auto good_out = platform::tensor_arg(Tensor::host(y.data(), {16}), Tag::out);
  std::uint64_t next = 1;
  const auto ends_with = [&](std::int32_t code, const char* what, const RunArgs& args, std::uint64_t id) {
    const auto end = end_of(s, args.run(next++, id));
    require(end.code == code, std::string{"a run with "} + what + " ended with " + name_of_code(end.code) +
                                  " instead of " + name_of_code(code));
  };
  constexpr std::int32_t bad = TROUPE_DEVICE_BAD_TASK_ARGUMENTS;
  ends_with(TROUPE_DEVICE_UNKNOWN_CALLABLE, "an unknown callable", RunArgs::of(good_in, good_out),
            copy + 1000);
  const auto with = [&](auto change) {
    auto arg = good_in;
    change(arg);
    return RunArgs::of(arg, good_out);
  };
  ends_with(bad, "a tensor of 0 dimensions", with([](auto& t) { t.ndims = 0; }), copy);
  ends_with(bad, "a tensor of 6 dimensions", with([](auto& t) { t.ndims = 6; }), copy);
  ends_with(bad, "an unknown dtype", with([](auto& t) { t.dtype = 200; }), copy);
  ends_with(bad, "an unknown tag", with([](auto& t) { t.tag = 9; }), copy);
  ends_with(bad, "an unknown address space", with([](auto& t) { t.address_space = 7; }), copy);
  ends_with(bad, "a view beyond its buffer", with([](auto& t) { t.start_offset = 1; }), copy);
  ends_with(bad, "a view that overflows", with([](auto& t) {
              t.start_offset = UINT64_MAX / 2;
              t.shape[0] = UINT32_MAX;
              t.strides[0] = UINT32_MAX;
            }),
            copy);
  ends_with(bad, "a null buffer", with([](auto& t) { t.buffer = 0; }), copy);
  ends_with(bad, "a dependency on a run that was never launched",
            RunArgs::of(good_in, good_out).after(100'000), copy);
  require(y == std::vector<float>(16, 7.0f), "a run that failed wrote its output");

  const auto device = s.malloc(64);
  const auto out_device = [&](std::uint64_t address, std::uint64_t bytes) {
    return RunArgs::of(good_in, on_device(address, bytes, Tag::out, DType::f32));
  };
  ends_with(0, "a device tensor", out_device(device, 64), copy);
  ends_with(TROUPE_DEVICE_OUT_OF_RANGE, "a device tensor that leaves its allocation", out_device(device, 128),
            copy);
  ends_with(TROUPE_DEVICE_BAD_ADDRESS, "a host address as device tensor",
            out_device(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(y.data())), 64), copy);
  const auto other = probe.ready();
  ends_with(TROUPE_DEVICE_BAD_ADDRESS, "another context's memory", out_device(other->malloc(64), 64), copy);
  s.expect(0, "device_free_ctx", probe.api().device_free_ctx, device);
  ends_with(TROUPE_DEVICE_BAD_ADDRESS, "freed memory", out_device(device, 64), copy);
  ends_with(0, "nothing wrong", RunArgs::of(good_in, good_out), copy);
}

void failing_kernel(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto fail = s.kernel("conformance_fail");
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(16, 1.0f), y(16, 7.0f);
  const auto failing = RunArgs::of(inout(Tensor::host(x.data(), {16})));
  const auto end = end_of(s, failing.run(1, fail));
  require(end.code == TROUPE_DEVICE_KERNEL_FAILED,
          "a kernel that throws ended with " + name_of_code(end.code));
  require(end.message.find("conformance_fail") != std::string::npos,
          "the message does not name the kernel: " + end.message);
  require(end.message.find("on purpose") != std::string::npos,
          "the message does not say what was thrown: " + end.message);
  require(x == std::vector<float>(16, 1.0f), "a failed run copied its output back");
  s.answered(TROUPE_DEVICE_KERNEL_FAILED, s.run(failing.run(0, fail)), "run_runtime of a kernel that throws");
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {16})), out(Tensor::host(y.data(), {16})));
  require(end_of(s, args.run(2, copy)).code == 0 && y == x, "the context is not usable after a failed run");
}

void poison(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto fail = s.kernel("conformance_fail");
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(16, 1.0f), y(16, 7.0f), z(16, 7.0f);
  const auto failing = RunArgs::of(inout(Tensor::host(x.data(), {16})));
  const auto dependent =
      RunArgs::of(in(Tensor::host(x.data(), {16})), out(Tensor::host(y.data(), {16}))).after(1);
  const auto transitive =
      RunArgs::of(in(Tensor::host(x.data(), {16})), out(Tensor::host(y.data(), {16}))).after(2);
  const auto independent = RunArgs::of(in(Tensor::host(x.data(), {16})), out(Tensor::host(z.data(), {16})));
  s.launch({failing.run(1, fail), dependent.run(2, copy), transitive.run(3, copy), independent.run(4, copy)});
  s.wait_for(4);
  s.launch({dependent.run(5, copy)}, 1);  // launched after the failure, which the host may not have seen
  for (const auto& end : s.wait_for(5)) {
    const auto text = "run " + std::to_string(end.correlation) + " ended with " + name_of_code(end.code);
    switch (end.correlation) {
      case 1:
        require(end.code == TROUPE_DEVICE_KERNEL_FAILED, text);
        break;
      case 4:
        require(end.code == 0, text + " although it depends on nothing");
        break;
      default:
        require(end.code == TROUPE_DEVICE_POISONED, text + " although its producer failed");
        require(end.caused_by == 1,
                "a poisoned run names run " + std::to_string(end.caused_by) + " as the first failure");
    }
  }
  require(y == std::vector<float>(16, 7.0f), "a poisoned run wrote its output");
  require(z == x, "an independent run gave a wrong result");
}

void blocks(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto kernel = s.kernel("conformance_blocks");
  const auto device = probe.properties(s);
  for (const std::uint32_t count : {0u, 1u, 2u, device.clusters * device.aiv_per_cluster * 2 + 1}) {
    const auto expected = static_cast<std::int32_t>(std::max(count, 1u));
    std::vector<std::int32_t> x(static_cast<std::size_t>(expected), 0);
    const auto args = RunArgs::of(inout(Tensor::host(x.data(), {expected})));
    auto run = args.run(0, kernel);
    run.blocks = count;
    s.answered(0, s.run(run), "run_runtime of " + std::to_string(count) + " blocks");
    require(x == std::vector<std::int32_t>(x.size(), expected),
            "of " + std::to_string(count) + " blocks not each ran once, knowing how many there are");
  }
  const std::uint32_t sure = (device.features & TROUPE_FEATURE_TOGETHER) != 0 ? device.clusters : 1;
  std::vector<std::int32_t> x(sure, 0);
  const auto args = RunArgs::of(inout(Tensor::host(x.data(), {sure})));
  auto run = args.run(0, kernel);
  run.blocks = sure;
  run.flags = TROUPE_RUN_SYNC_START;
  s.answered(0, s.run(run), "a sync_start of as many blocks as are sure to run together");
  run.blocks = device.clusters * (device.aic_per_cluster + device.aiv_per_cluster) + 1;
  s.answered(TROUPE_DEVICE_CAPACITY_EXCEEDED, s.run(run), "a sync_start of more blocks than there are cores");
}

void lanes(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto kernel = s.kernel("conformance_lanes");
  std::vector<std::int32_t> x(1024, 0), y(2, -1);
  const auto args = RunArgs::of(inout(Tensor::host(x.data(), {1024})), out(Tensor::host(y.data(), {2})));
  s.answered(0, s.run(args.run(0, kernel)), "run_runtime of lanes that work together");
  require(y[1] >= 1 && y[1] <= 1024, "a block of " + std::to_string(y[1]) + " lanes");
  require(y[0] == y[1] * y[1], "after sync() a lane does not see what the others wrote");
  for (std::size_t i = 0; i < x.size(); ++i) {
    require(x[i] == (i < static_cast<std::size_t>(y[1]) ? y[1] : 0), "not every lane ran once");
  }
}

void runs_overlap(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto wait = s.kernel("conformance_wait"), raise = s.kernel("conformance_raise");
  const auto flag = s.malloc(64);
  const std::int32_t zero[16] = {};
  s.expect(0, "copy_to_device_ctx", probe.api().copy_to_device_ctx, flag, static_cast<const void*>(zero),
           std::uint64_t{64});
  const auto args = RunArgs::of(on_device(flag, 64, Tag::inout, DType::i32));
  s.launch({args.run(1, wait), args.run(2, raise)});
  for (const auto& end : s.wait_for(2)) {
    require(end.code == 0, "run " + std::to_string(end.correlation) + " of two that overlap ended with " +
                               name_of_code(end.code));
  }
}

/// That this kernel was entered so often for a run, each time with what it is, and left before its end came.
void require_told(const std::vector<Subject::Visit>& visits, const std::string& kernel, std::uint32_t blocks,
                  std::uint64_t correlation) {
  std::set<std::uint32_t> seen;
  for (const auto& visit : visits) {
    if (visit.correlation != correlation) continue;
    require(visit.what == "kernel", "a kernel is called a '" + visit.what + "'");
    require(visit.name == kernel, "a thread inside '" + kernel + "' said it was in '" + visit.name + "'");
    require(visit.task == "the task",
            "'" + kernel + "' of the run 'the task' was told as of '" + visit.task + "'");
    require(visit.block_count == blocks && visit.block < blocks && seen.insert(visit.block).second,
            "block " + std::to_string(visit.block) + " of " + std::to_string(visit.block_count) +
                " was told, of a run with " + std::to_string(blocks));
    require(!visit.knows_words || (!visit.tensor_bytes.empty() && visit.tensor_bytes[0] == 64),
            "the argument words of '" + kernel + "' do not lead to its tensors");
    require(visit.left,
            "run " + std::to_string(correlation) + " has ended, and a thread is inside its '" + kernel + "'");
  }
  require(seen.size() == blocks, "of " + std::to_string(blocks) + " blocks of '" + kernel + "' " +
                                     std::to_string(seen.size()) + " were told");
}

void says_what_runs(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto copy = s.kernel("conformance_copy"), fail = s.kernel("conformance_fail"),
             blocks = s.kernel("conformance_blocks");
  std::vector<float> x(16, 1.0f), y(16);
  std::vector<std::int32_t> z(16, 0);
  const auto copies = RunArgs::of(in(Tensor::host(x.data(), {16})), out(Tensor::host(y.data(), {16})));
  const auto fails = RunArgs::of(inout(Tensor::host(x.data(), {16})));
  const auto counts = RunArgs::of(inout(Tensor::host(z.data(), {16})));
  std::vector<troupe_run> runs{copies.run(7, copy), fails.run(8, fail), counts.run(9, blocks)};
  runs[2].blocks = 3;
  const std::string task = "the task";
  for (auto& run : runs) run.name = task.c_str();
  s.launch(runs);
  s.wait_for(3);
  const auto visits = s.visits();
  probe.need(!visits.empty(), "word for what its threads are inside of");
  require_told(visits, "conformance_copy", 1, 7);
  require_told(visits, "conformance_fail", 1, 8);
  require_told(visits, "conformance_blocks", 3, 9);
}

}  // namespace

std::vector<Rule> run_rules() {
  return {
      {"copies-in-and-out", "host tensors are copied in and outputs come back", copies_in_and_out},
      {"inputs-stay", "inputs are never copied back", inputs_stay},
      {"views", "of a view only its own elements are touched", views},
      {"device-tensors", "device tensors pass straight through", device_tensors},
      {"asynchronous", "launched runs end once each, a chain in order", asynchronous},
      {"callbacks", "a call from inside a completion callback is REENTRANT_CALL", callbacks_call_nothing},
      {"needs-callback", "without a completion callback only run_runtime works", needs_callback},
      {"launch-checks", "a malformed or too large batch is refused as a whole", launch_checks},
      {"bad-runs", "what is wrong with one run is that run's end", bad_runs},
      {"failing-kernel",
       "a kernel that throws fails its run with its name, nothing comes back, the context goes on",
       failing_kernel},
      {"poison", "dependents of a failed run are POISONED, independent ones are not", poison},
      {"blocks", "SPMD runs execute each block once; sync_start beyond the chip is CAPACITY_EXCEEDED",
       blocks},
      {"lanes", "the lanes of a block run together, and see what the others wrote before sync()", lanes},
      {"overlap", "where runs overlap, one can end the wait of an independent one before it", runs_overlap,
       TROUPE_FEATURE_OVERLAP},
      {"running", "a thread that says what it is inside of says so of every kernel, and goes back",
       says_what_runs},
  };
}

}  // namespace troupe::conformance
