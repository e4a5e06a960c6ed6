#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <set>
#include <string>

#include "platform/conformance/conformance.hpp"
#include "platform/meddler.hpp"
#include "platform/plugins/conformance_script.hpp"

// Every rule of the conformance suite must be able to fail: for each one there is a platform here that breaks
// it in one place, made from the scripted chip by replacing one function.
using namespace troupe;
using conformance::Verdict;
using namespace troupe::test;

namespace {

/// Changes a run's tensors before it is executed.
template <class Change>
std::int32_t run_changed(Handle h, const troupe_run* run, troupe_completion* end, Change change) {
  if (run == nullptr) return good().run_runtime(h, run, end);
  std::vector<troupe_tensor_arg> tensors{run->tensors, run->tensors + run->tensor_count};
  auto changed = *run;
  changed.tensors = tensors.data();
  change(changed, tensors);
  return good().run_runtime(h, &changed, end);
}

/// Contexts whose threads tell the host something else of what they are inside of.
template <auto Change>
Handle create_telling(const troupe_host* host) {
  static decltype(troupe_host::running) real;  // one function of the suite's, for all contexts
  real = host->running;
  auto table = *host;
  table.running = [](void* data, troupe_running* what) { return Change(real, data, what); };
  return good().create_device_context(&table);
}
using Running = decltype(troupe_host::running);

troupe_running* of_another_name(Running real, void* data, troupe_running* what) {
  if (what != nullptr && what->task != nullptr) what->name = "another";
  return real(data, what);
}
troupe_running* of_no_task(Running real, void* data, troupe_running* what) {
  if (what != nullptr && what->task != nullptr) what->task = nullptr;
  return real(data, what);
}
/// Entering or leaving, told by turns: what is left may be gone, so nobody looks at it.
bool enters() {
  static thread_local bool inside = false;
  return inside = !inside;
}
troupe_running* never_back(Running real, void* data, troupe_running* what) {
  return enters() ? real(data, what) : nullptr;
}
troupe_running* out_of_everything(Running real, void* data, troupe_running* what) {
  return real(data, enters() ? what : nullptr);
}
troupe_running* only_of_first_blocks(Running real, void* data, troupe_running* what) {
  static troupe_running unheard;
  if (what == &unheard) return nullptr;
  if (what != nullptr && what->block != 0) return &unheard;
  return real(data, what);
}
troupe_running* changed_meanwhile(Running real, void* data, troupe_running* what) {
  static thread_local troupe_running* last = nullptr;
  const bool begins = what != nullptr && what->task != nullptr;
  if (!begins && last != nullptr) last->name = "another";
  last = begins ? what : nullptr;
  return real(data, what);
}

/// A platform that promises graphs, takes each, and runs none of their tasks.
void forget_tasks(DeviceApi& api) {
  api.device_properties = [](Handle h, troupe_device_properties* properties) {
    const auto code = good().device_properties(h, properties);
    if (code == 0) properties->features |= TROUPE_FEATURE_GRAPHS;
    return code;
  };
  api.register_graph = [](Handle, const troupe_graph*, std::uint64_t* id) -> std::int32_t {
    *id = 1;
    return 0;
  };
  api.launch_graph = [](Handle, const troupe_run*, std::uint64_t) -> std::int32_t { return 0; };
  api.unregister_graph = [](Handle, std::uint64_t) -> std::int32_t { return 0; };
}

const std::multimap<std::string, Mutate>& mutants() {
  static const std::multimap<std::string, Mutate> all{
      {"null-context",
       [](DeviceApi& api) {
         api.reset_device = [](Handle h) { return h == nullptr ? 0 : good().reset_device(h); };
       }},
      {"null-arguments",
       [](DeviceApi& api) {
         api.copy_to_device_ctx = [](Handle h, std::uint64_t to, const void* from, std::uint64_t n) {
           return from == nullptr ? 0 : good().copy_to_device_ctx(h, to, from, n);
         };
       }},
      {"null-host",
       [](DeviceApi& api) {
         api.create_device_context = [](const troupe_host* host) -> Handle {
           return host->post == nullptr ? nullptr : good().create_device_context(host);
         };
       }},
      {"device-numbers",
       [](DeviceApi& api) {
         api.set_device = [](Handle h, std::int32_t id) { return good().set_device(h, id < 0 ? 0 : id); };
       }},
      {"needs-device",
       [](DeviceApi& api) {
         api.device_free_ctx = [](Handle h, std::uint64_t at) {
           return hide(good().device_free_ctx(h, at), TROUPE_DEVICE_INVALID_STATE);
         };
       }},
      {"set-device-twice",
       [](DeviceApi& api) {
         api.set_device = [](Handle h, std::int32_t id) {
           return hide(good().set_device(h, id), TROUPE_DEVICE_INVALID_STATE);
         };
       }},
      {"reset", [](DeviceApi& api) { api.reset_device = [](Handle) { return 0; }; }},
      {"finalized",
       [](DeviceApi& api) { api.finalize_device = [](Handle h) { return good().reset_device(h); }; }},
      {"options",
       [](DeviceApi& api) {
         api.set_device_option = [](Handle h, const char* name, const char* value) {
           return hide(good().set_device_option(h, name, value), TROUPE_DEVICE_UNKNOWN_OPTION);
         };
       }},
      {"last-error",
       [](DeviceApi& api) {
         api.device_last_error = [](Handle h, std::int32_t* code, char* text, std::size_t n) {
           const auto got = good().device_last_error(h, code, text, n);
           if (n == 4) text[3] = 'x';
           return got;
         };
       }},
      {"last-error",
       [](DeviceApi& api) {
         api.device_last_error = [](Handle, std::int32_t* code, char* text, std::size_t n) {
           *code = 0;
           if (n != 0) text[0] = '\0';
           return 0;
         };
       }},
      {"properties",
       [](DeviceApi& api) {
         api.device_properties = [](Handle h, troupe_device_properties* out) {
           if (out != nullptr) out->size = sizeof(*out);
           return good().device_properties(h, out);
         };
       }},
      {"many-contexts",
       [](DeviceApi& api) {
         api.copy_from_device_ctx = [](Handle h, void* to, std::uint64_t from, std::uint64_t n) {
           return hide(good().copy_from_device_ctx(h, to, from, n), TROUPE_DEVICE_BAD_ADDRESS);
         };
       }},
      {"allocate",
       [](DeviceApi& api) {
         api.device_malloc_ctx = [](Handle h, std::uint64_t n, std::uint64_t* at) {
           const auto code = good().device_malloc_ctx(h, n + 8, at);
           if (code == 0) *at += 8;
           return code;
         };
       }},
      {"sizes",
       [](DeviceApi& api) {
         api.device_malloc_ctx = [](Handle h, std::uint64_t n, std::uint64_t* at) {
           return good().device_malloc_ctx(h, n == 0 ? 1 : n, at);
         };
       }},
      {"sizes",
       [](DeviceApi& api) {
         api.device_malloc_ctx = [](Handle h, std::uint64_t n, std::uint64_t* at) {
           return good().device_malloc_ctx(h, (n + 63) / 64 * 64, at);
         };
       }},
      {"memory-limit",
       [](DeviceApi& api) { api.set_device_option = [](Handle, const char*, const char*) { return 0; }; }},
      {"frees",
       [](DeviceApi& api) {
         api.device_free_ctx = [](Handle h, std::uint64_t at) {
           return hide(good().device_free_ctx(h, at), TROUPE_DEVICE_DOUBLE_FREE);
         };
       }},
      {"frees",
       [](DeviceApi& api) {
         api.device_free_ctx = [](Handle h, std::uint64_t at) {
           return good().device_free_ctx(h, at & ~std::uint64_t{127});
         };
       }},
      {"copies",
       [](DeviceApi& api) {
         api.copy_to_device_ctx = [](Handle h, std::uint64_t to, const void* from, std::uint64_t n) {
           return hide(good().copy_to_device_ctx(h, to, from, n), TROUPE_DEVICE_OUT_OF_RANGE);
         };
       }},
      {"accounting",
       [](DeviceApi& api) {
         api.device_status = [](Handle h, troupe_device_status* s, troupe_core_status* c, std::size_t n,
                                std::size_t* count) {
           const auto code = good().device_status(h, s, c, n, count);
           if (code == 0) s->memory_used = 0;
           return code;
         };
       }},
      {"registering",
       [](DeviceApi& api) {
         api.register_callable = [](Handle h, const troupe_callable* c, std::uint64_t* id) {
           return hide(good().register_callable(h, c, id), TROUPE_DEVICE_ALREADY_REGISTERED);
         };
       }},
      {"copies-in-and-out",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* end) {
           return run_changed(h, run, end, [](auto&, auto& tensors) {
             for (auto& t : tensors)
               if (t.tag == TROUPE_TAG_OUT) t.tag = TROUPE_TAG_IN;
           });
         };
       }},
      {"inputs-stay",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* end) {
           return run_changed(h, run, end, [](auto&, auto& tensors) {
             for (auto& t : tensors)
               if (t.tag == TROUPE_TAG_IN) t.tag = TROUPE_TAG_INOUT;
           });
         };
       }},
      {"views",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* end) {
           return run_changed(h, run, end, [](auto&, auto& tensors) {
             tensors[0].start_offset = 0;
             tensors[0].shape[0] = tensors[0].shape[1] = 8;
           });
         };
       }},
      {"device-tensors",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* end) {
           return run_changed(h, run, end,
                              [](auto&, auto& tensors) { tensors[1].buffer = tensors[0].buffer; });
         };
       }},
      {"asynchronous",
       [](DeviceApi& api) {
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           return good().launch_runs(h, runs, n - 1, s);
         };
       }},
      {"asynchronous", [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::twice>; }},
      {"asynchronous",
       [](DeviceApi& api) {  // completes on the stack of the launch
         api.create_device_context = create_meddled<&Meddler::nothing>;
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           tell_of_nothing(*meddlers().of(h));
           return good().launch_runs(h, runs, n, s);
         };
       }},
      {"destroy-while-busy",
       [](DeviceApi& api) {  // completes after destroy
         api.create_device_context = create_meddled<&Meddler::nothing>;
         api.destroy_device_context = [](Handle h) {
           static std::atomic<Meddler*> last = nullptr;
           if (auto* before = last.exchange(meddlers().of(h))) tell_of_nothing(*before);
           return good().destroy_device_context(h);
         };
       }},
      {"callbacks",
       [](DeviceApi& api) {
         api.device_malloc_ctx = [](Handle h, std::uint64_t n, std::uint64_t* at) {
           return hide(good().device_malloc_ctx(h, n, at), TROUPE_DEVICE_REENTRANT_CALL);
         };
       }},
      {"needs-callback",
       [](DeviceApi& api) {
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           return hide(good().launch_runs(h, runs, n, s), TROUPE_DEVICE_INVALID_STATE);
         };
       }},
      {"launch-checks",
       [](DeviceApi& api) {
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           return hide(good().launch_runs(h, runs, n, s), TROUPE_DEVICE_INVALID_ARGUMENT);
         };
       }},
      {"launch-checks",
       [](DeviceApi& api) {
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           return hide(good().launch_runs(h, runs, n, s), TROUPE_DEVICE_QUEUE_FULL);
         };
       }},
      {"bad-runs",
       [](DeviceApi& api) {
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           std::vector<troupe_tensor_arg> tensors{runs->tensors, runs->tensors + runs->tensor_count};
           for (auto& t : tensors) t.address_space &= 1;
           auto run = *runs;
           run.tensors = tensors.data();
           return good().launch_runs(h, &run, n, s);
         };
       }},
      {"sinks",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* end) -> std::int32_t {
           if (run != nullptr && run->flags != 0) return TROUPE_DEVICE_INVALID_ARGUMENT;
           return good().run_runtime(h, run, end);
         };
       }},
      {"failing-kernel",
       [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::no_failures>; }},
      {"poison",
       [](DeviceApi& api) {
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           std::vector<troupe_run> changed{runs, runs + n};
           for (auto& run : changed) run.depends_count = 0;
           return good().launch_runs(h, changed.data(), n, s);
         };
       }},
      {"poison",
       [](DeviceApi& api) {  // forgets a failure before the host has seen it
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t) {
           return good().launch_runs(h, runs, n, runs[0].correlation);
         };
       }},
      {"blocks",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* end) {
           return run_changed(h, run, end, [](auto& changed, auto&) { changed.blocks = 1; });
         };
       }},
      {"blocks",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* end) {
           return hide(good().run_runtime(h, run, end), TROUPE_DEVICE_CAPACITY_EXCEEDED);
         };
       }},
      {"lanes",
       [](DeviceApi& api) {
         api.run_runtime = [](Handle, const troupe_run*, troupe_completion*) -> std::int32_t { return 0; };
       }},
      {"overlap",
       [](DeviceApi& api) {  // says so, and has one run after the other
         api.device_properties = [](Handle h, troupe_device_properties* properties) {
           const auto code = good().device_properties(h, properties);
           if (code == 0) properties->features |= TROUPE_FEATURE_OVERLAP;
           return code;
         };
       }},
      {"running", [](DeviceApi& api) { api.create_device_context = create_telling<of_another_name>; }},
      {"running", [](DeviceApi& api) { api.create_device_context = create_telling<of_no_task>; }},
      {"running", [](DeviceApi& api) { api.create_device_context = create_telling<never_back>; }},
      {"running", [](DeviceApi& api) { api.create_device_context = create_telling<out_of_everything>; }},
      {"running", [](DeviceApi& api) { api.create_device_context = create_telling<only_of_first_blocks>; }},
      {"running", [](DeviceApi& api) { api.create_device_context = create_telling<changed_meanwhile>; }},
      {"graphs", forget_tasks},
      {"graphs",
       [](DeviceApi& api) {  // promises them, and has no such functions
         forget_tasks(api);
         api.register_graph = nullptr;
       }},
      {"graph-descriptions", forget_tasks},
      {"graph-slots", forget_tasks},
      {"graph-failures", forget_tasks},
      {"graph-abort", forget_tasks},
      {"graph-unregister", forget_tasks},
      {"moves", [](DeviceApi& api) { api.run_move = nullptr; }},  // promises them
      {"moves",
       [](DeviceApi& api) {
         api.run_move = [](Handle h, const troupe_move* move) {
           auto changed = *move;
           for (auto& stride : changed.to.strides) stride = 0;
           return good().run_move(h, &changed);
         };
       }},
      {"moves-between-contexts",
       [](DeviceApi& api) {
         api.run_move = [](Handle h, const troupe_move* move) {
           return move->from.context != move->to.context ? 0 : good().run_move(h, move);
         };
       }},
      {"moves-checked",
       [](DeviceApi& api) {
         api.run_move = [](Handle h, const troupe_move* move) {
           return hide(good().run_move(h, move), TROUPE_DEVICE_OUT_OF_RANGE);
         };
       }},
      {"moves-lives",
       [](DeviceApi& api) {
         api.run_move = [](Handle h, const troupe_move* move) {
           return hide(good().run_move(h, move), TROUPE_DEVICE_INVALID_STATE);
         };
       }},
      {"moves-beside-runs",
       [](DeviceApi& api) {
         api.run_move = [](Handle h, const troupe_move* move) -> std::int32_t {
           troupe_device_status status{};
           status.size = sizeof status;
           std::size_t count = 0;
           (void)good().device_status(h, &status, nullptr, 0, &count);
           return status.runs_running != 0 ? TROUPE_DEVICE_BUSY : good().run_move(h, move);
         };
       }},
      {"moves-while-ending", [](DeviceApi& api) { api.reset_device = [](Handle) { return 0; }; }},
      {"abort", [](DeviceApi& api) { api.abort_runs = [](Handle, std::uint64_t) { return 0; }; }},
      {"abort",
       [](DeviceApi& api) {
         api.abort_runs = [](Handle h, std::uint64_t) { return good().abort_runs(h, TROUPE_ALL_RUNS); };
       }},
      {"status",
       [](DeviceApi& api) {
         api.device_status = [](Handle h, troupe_device_status* s, troupe_core_status* c, std::size_t n,
                                std::size_t* count) {
           const auto code = good().device_status(h, s, c, n, count);
           for (std::size_t i = 0; code == 0 && i < n && i < *count; ++i) c[i].name[0] = '\0';
           return code;
         };
       }},
      {"unregister-in-use",
       [](DeviceApi& api) {
         api.unregister_callable = [](Handle, std::uint64_t) -> std::int32_t { return TROUPE_DEVICE_BUSY; };
       }},
      {"reset-completes",
       [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::no_aborted>; }},
      {"finalize-completes",
       [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::no_aborted>; }},
      {"destroy-completes",
       [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::no_aborted>; }},
      {"destroy-while-busy",
       [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::twice>; }},
      {"stuck-kernel",
       [](DeviceApi& api) {
         api.destroy_device_context = [](Handle h) -> std::int32_t {
           const auto code = good().destroy_device_context(h);
           return code == TROUPE_DEVICE_BUSY ? TROUPE_DEVICE_ABORTED : code;
         };
       }},
      {"stuck-kernel",
       [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::no_aborted>; }},
      {"many-threads",
       [](DeviceApi& api) {  // reads its output instead of its input
         api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
           std::vector<troupe_run> changed{runs, runs + n};
           std::vector<troupe_tensor_arg> tensors{runs->tensors, runs->tensors + runs->tensor_count};
           tensors[0].buffer = tensors[1].buffer;
           for (auto& run : changed) run.tensors = tensors.data();
           return good().launch_runs(h, changed.data(), n, s);
         };
       }},
      {"beside-runs",
       [](DeviceApi& api) {
         api.copy_from_device_ctx = [](Handle, void*, std::uint64_t, std::uint64_t) -> std::int32_t {
           return TROUPE_DEVICE_BUSY;
         };
       }},
      {"beside-runs",
       [](DeviceApi& api) {  // nothing is copied while something runs
         api.copy_to_device_ctx = [](Handle h, std::uint64_t at, const void* data, std::uint64_t n) {
           return n == 4096 ? 0 : good().copy_to_device_ctx(h, at, data, n);
         };
       }},
      {"one-context-many-threads",
       [](DeviceApi& api) {
         api.device_free_ctx = [](Handle, std::uint64_t) -> std::int32_t { return TROUPE_DEVICE_BUSY; };
       }},
      {"windows",
       [](DeviceApi& api) {
         api.window_commit = [](Handle h, std::uint64_t w, troupe_window_view* view) {
           const auto code = good().window_commit(h, w, view);
           if (code == 0) view->local_base = view->context_address;
           return code;
         };
       }},
      {"window-blobs",
       [](DeviceApi& api) {
         api.window_import = [](Handle h, std::uint64_t w, std::uint32_t rank,
                                const troupe_window_blob* blob) {
           return hide(good().window_import(h, w, rank, blob), TROUPE_DEVICE_BAD_WINDOW);
         };
       }},
      {"window-abort",
       [](DeviceApi& api) {
         api.window_abort = [](Handle, std::uint64_t, std::int32_t, std::uint32_t) { return 0; };
       }},
      {"window-release",
       [](DeviceApi& api) { api.window_release = [](Handle, std::uint64_t) { return 0; }; }},
      {"comm-session",
       [](DeviceApi& api) {
         api.comm_init = [](Handle, std::int32_t, std::int32_t, void*, const char*) -> void* {
           return nullptr;
         };
         api.comm_alloc_windows = [](Handle, void*, std::uint64_t, std::uint64_t*) { return 0; };
         api.comm_get_local_window_base = [](Handle, void*, std::uint64_t*) { return 0; };
         api.comm_get_window_size = [](Handle, void*, std::uint64_t*) { return 0; };
         api.comm_barrier = [](Handle, void*) { return 0; };
         api.comm_destroy = [](Handle, void*) { return 0; };
       }},
      {"comm-abort",
       [](DeviceApi& api) {
         api.comm_init = [](Handle h, std::int32_t, std::int32_t, void*, const char*) -> void* { return h; };
         api.comm_alloc_windows = [](Handle, void*, std::uint64_t, std::uint64_t*) { return 0; };
         api.comm_barrier = [](Handle, void*) { return 0; };
         api.comm_destroy = [](Handle, void*) { return 0; };
         api.comm_abort = [](Handle) { return 0; };
       }},
      {"comm-arguments",
       [](DeviceApi& api) {
         api.comm_init = [](Handle h, std::int32_t, std::int32_t, void*, const char*) -> void* { return h; };
         api.comm_barrier = [](Handle, void*) { return 0; };
         api.comm_destroy = [](Handle, void*) { return 0; };
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("every conformance rule fails on a platform that breaks it") {
  std::set<std::string> named;
  for (const auto& rule : conformance::all_rules()) {
    named.insert(std::string{rule.name});
    if (rule.name == "foreign-bytes") continue;  // not of the scripted chip; see conformance_test.cpp
    const auto [first, last] = mutants().equal_range(std::string{rule.name});
    CHECK_MESSAGE(first != last, rule.name, " has no mutant");
    int number = 0;
    for (auto mutant = first; mutant != last; ++mutant) {
      CAPTURE(std::string{rule.name});
      CAPTURE(++number);
      const auto chip = test::conformance_chip();
      auto api = chip.api();
      mutant->second(api);
      // Long enough for a rule to get to its point on a loaded machine; a mutant that never tells needs all
      // of it.
      const auto finding = conformance::check(rule, api, std::chrono::milliseconds{500});
      CAPTURE(finding.reason);
      CHECK(finding.verdict == Verdict::fail);
    }
  }
  for (const auto& [name, mutate] : mutants())
    CHECK_MESSAGE(named.contains(name), "no rule is called ", name);
}
