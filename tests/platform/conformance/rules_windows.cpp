#include <unistd.h>

#include <thread>

#include "platform/conformance/rules.hpp"

// The optional half: windows between contexts, and the blocking sessions.
namespace troupe::conformance {

namespace {

using platform::RunArgs;

bool has_windows(const platform::DeviceApi& api) {
  return api.window_create != nullptr && api.window_import != nullptr && api.window_commit != nullptr &&
         api.window_abort != nullptr && api.window_release != nullptr;
}

troupe_window_spec spec_of(std::uint32_t rank, std::uint32_t ranks) {
  troupe_window_spec spec{};
  spec.domain[0] = 0x1234567;
  spec.domain[1] = 0x89ABCDE;
  spec.epoch = 3;
  spec.bytes = 8192;
  spec.rank = rank;
  spec.rank_count = ranks;
  return spec;
}

/// Refused, with a sentence, by a code of the platform or of the communication floor below it.
void window_refusal(Subject& s, std::int32_t platform_code, std::int32_t got, const std::string& what) {
  s.answered(got >= 1000 && got < 2000 ? got : platform_code, got, what);
}

/// Two contexts with a window each.
struct Pair {
  explicit Pair(Probe& probe) : api(probe.api()) {
    probe.need(has_windows(api), "windows");
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      member[rank] = probe.ready();
      const auto spec = spec_of(rank, 2);
      member[rank]->expect(0, "window_create", api.window_create, &spec, &window[rank], &blob[rank]);
    }
  }
  void import_all() {
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      for (std::uint32_t peer = 0; peer < 2; ++peer) {
        member[rank]->expect(0, "window_import", api.window_import, window[rank], peer, &blob[peer]);
      }
    }
  }
  void commit() {
    import_all();
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      member[rank]->expect(0, "window_commit", api.window_commit, window[rank], &view[rank]);
    }
  }
  const platform::DeviceApi& api;
  Held member[2];
  std::uint64_t window[2] = {};
  troupe_window_blob blob[2] = {};
  troupe_window_view view[2] = {};
};

void windows_share(Probe& probe) {
  Pair pair{probe};
  pair.commit();
  const auto& api = probe.api();
  std::vector<char> bytes(8192, 'x');
  pair.member[1]->expect(0, "copy_from_device_ctx of a window", api.copy_from_device_ctx,
                         static_cast<void*>(bytes.data()), pair.view[1].local_base, std::uint64_t{8192});
  require(bytes == std::vector<char>(8192, '\0'), "a new window is not zeroed");
  pair.member[1]->expect(TROUPE_DEVICE_OUT_OF_RANGE, "a copy beyond a window", api.copy_from_device_ctx,
                         static_cast<void*>(bytes.data()), pair.view[1].local_base + 1, std::uint64_t{8192});
  for (auto& member : pair.member) {
    const auto rank = &member - pair.member;
    const auto put = member->kernel("conformance_put");
    const auto args = RunArgs::of(runtime::scalar(pair.view[rank].context_address));
    member->answered(0, member->run(args.run(0, put)), "a kernel that writes into all windows");
  }
  for (auto& member : pair.member) {
    std::int32_t words[2] = {};
    member->expect(0, "copy_from_device_ctx of a window", api.copy_from_device_ctx, static_cast<void*>(words),
                   pair.view[&member - pair.member].local_base, std::uint64_t{8});
    require(words[0] == 100 && words[1] == 101, "a window does not show what its peers wrote");
  }
}

void window_blobs(Probe& probe) {
  Pair pair{probe};
  auto& s = *pair.member[0];
  const auto& api = probe.api();
  troupe_window_view view{};
  window_refusal(s, TROUPE_DEVICE_INVALID_STATE, s.call(api.window_commit, pair.window[0], &view),
                 "committing a window without its peers");
  const auto refused = [&](const char* what, std::uint32_t rank, const troupe_window_blob& blob) {
    window_refusal(s, TROUPE_DEVICE_BAD_WINDOW, s.call(api.window_import, pair.window[0], rank, &blob),
                   std::string{"importing "} + what);
  };
  troupe_window_blob broken{};
  broken.fd = -1;
  refused("an empty blob", 1, broken);
  broken = pair.blob[1];
  broken.byte_count = TROUPE_WINDOW_BLOB_BYTES + 1;
  refused("a blob that says it is larger than a blob", 1, broken);
  broken = pair.blob[1];
  broken.bytes[0] ^= 0xFF;
  refused("a blob with another first byte", 1, broken);
  refused("rank 1's blob as rank 0's", 0, pair.blob[1]);
  auto other = spec_of(1, 2);
  other.epoch = 4;
  const auto stranger = probe.ready();
  std::uint64_t window = 0;
  troupe_window_blob blob{};
  stranger->expect(0, "window_create", api.window_create, &other, &window, &blob);
  refused("another epoch's blob", 1, blob);
  constexpr std::int32_t unknown = TROUPE_DEVICE_UNKNOWN_WINDOW;
  s.expect(unknown, "importing into a window that does not exist", api.window_import, std::uint64_t{9999}, 1u,
           &pair.blob[1]);
  s.expect(unknown, "committing a window that does not exist", api.window_commit, std::uint64_t{9999}, &view);
  s.expect(unknown, "releasing a window that does not exist", api.window_release, std::uint64_t{9999});
  constexpr std::int32_t invalid = TROUPE_DEVICE_INVALID_ARGUMENT;
  for (const auto& wrong : {spec_of(2, 2), spec_of(0, 0), spec_of(0, 65)}) {
    window_refusal(s, invalid, s.call(api.window_create, &wrong, &window, &blob),
                   "creating a window with impossible ranks");
  }
  auto vast = spec_of(0, 2);
  vast.domain[0] = 5;
  vast.bytes = UINT64_MAX;
  window_refusal(s, TROUPE_DEVICE_OUT_OF_MEMORY, s.call(api.window_create, &vast, &window, &blob),
                 "creating a window of 2^64-1 bytes");
  pair.commit();
}

void window_aborts(Probe& probe) {
  Pair pair{probe};
  pair.commit();
  const auto& api = probe.api();
  auto& waiter = *pair.member[1];
  const auto kernel = waiter.kernel("conformance_wait");
  const auto args =
      RunArgs::of(on_device(pair.view[1].local_base, 64, runtime::Tag::in, runtime::DType::i32));
  waiter.launch({args.run(1, kernel)});
  waiter.wait_busy(1);
  waiter.expect(TROUPE_DEVICE_BUSY, "releasing a window that a run uses", api.window_release, pair.window[1]);
  pair.member[0]->expect(0, "window_abort", api.window_abort, pair.window[0],
                         std::int32_t{TROUPE_DEVICE_ABORTED}, 0u);
  const auto end = waiter.wait_for(1)[0];
  require(end.code != 0, "a wait on an aborted window ended well");
}

void window_release(Probe& probe) {
  Pair pair{probe};
  pair.commit();
  const auto& api = probe.api();
  auto& s = *pair.member[0];
  s.expect(0, "window_release", api.window_release, pair.window[0]);
  std::int64_t word = 0;
  s.expect(TROUPE_DEVICE_BAD_ADDRESS, "a copy from a released window", api.copy_from_device_ctx,
           static_cast<void*>(&word), pair.view[0].local_base, std::uint64_t{8});
  s.expect(TROUPE_DEVICE_UNKNOWN_WINDOW, "releasing twice", api.window_release, pair.window[0]);
  pair.member[1]->expect(0, "copy_from_device_ctx of a window whose peer is gone", api.copy_from_device_ctx,
                         static_cast<void*>(&word), pair.view[1].local_base, std::uint64_t{8});
}

/// A name that nobody else has, in whatever process.
std::string meeting_of(const Probe& probe, const std::string& what) {
  return "troupe-conformance-" + what + std::to_string(::getpid()) + "-" +
         std::to_string(reinterpret_cast<std::uintptr_t>(&probe));
}

/// Two ranks that meet at `meeting`, each on a thread and a context of its own: `body(subject, rank, comm)`.
template <class Body>
void on_two_ranks(Probe& probe, const std::string& meeting, Body body) {
  std::string complaint[2];
  const auto rank_program = [&](std::int32_t rank) {
    try {
      const auto subject = probe.ready();
      void* const comm = subject->call(probe.api().comm_init, rank, 2, nullptr, meeting.c_str());
      require(comm != nullptr, "comm_init answered null: " + subject->last_text());
      body(*subject, rank, comm);
    } catch (const Violation& violation) {
      complaint[rank] = violation.what;
    }
  };
  std::thread peer{[&] { rank_program(1); }};
  rank_program(0);
  peer.join();
  for (const auto& text : complaint) require(text.empty(), text);
}

void comm_session(Probe& probe) {
  const auto& api = probe.api();
  probe.need(api.comm_init != nullptr && api.comm_alloc_windows != nullptr &&
                 api.comm_get_local_window_base != nullptr && api.comm_get_window_size != nullptr &&
                 api.comm_barrier != nullptr && api.comm_destroy != nullptr,
             "comm_*");
  const auto meeting = meeting_of(probe, "");
  on_two_ranks(probe, meeting, [&](Subject& s, std::int32_t rank, void* comm) {
    std::uint64_t context = 0, base = 0, bytes = 0;
    s.expect(0, "comm_alloc_windows", api.comm_alloc_windows, comm, std::uint64_t{4096}, &context);
    s.expect(0, "comm_get_local_window_base", api.comm_get_local_window_base, comm, &base);
    s.expect(0, "comm_get_window_size", api.comm_get_window_size, comm, &bytes);
    require(context != 0 && base != 0 && bytes >= 4096, "a session without context or window");
    require(s.call(api.comm_init, rank, 2, nullptr, "another meeting") == nullptr,
            "a second session began while one is live");
    const auto put = s.kernel("conformance_put");
    const auto args = RunArgs::of(runtime::scalar(context));
    s.answered(0, s.run(args.run(0, put)), "a kernel that writes into all windows");
    s.expect(0, "comm_barrier", api.comm_barrier, comm);
    std::int32_t words[2] = {};
    s.expect(0, "copy_from_device_ctx of a window", api.copy_from_device_ctx, static_cast<void*>(words), base,
             std::uint64_t{8});
    require(words[0] == 100 && words[1] == 101,
            "after a barrier a window does not show what its peers wrote");
    s.expect(0, "comm_destroy", api.comm_destroy, comm);
  });
}

void comm_abort(Probe& probe) {
  const auto& api = probe.api();
  probe.need(api.comm_init != nullptr && api.comm_alloc_windows != nullptr && api.comm_barrier != nullptr &&
                 api.comm_destroy != nullptr && api.comm_abort != nullptr,
             "comm_abort");
  const auto meeting = meeting_of(probe, "abort-");
  const auto alone = probe.ready();
  alone->expect(0, "comm_abort without a session", api.comm_abort);
  std::uint64_t context = 0;
  // A session that was given up meets nobody, so the rank that never comes is not waited for.
  void* const given_up = alone->call(api.comm_init, 0, 2, nullptr, (meeting + "-early").c_str());
  require(given_up != nullptr, "comm_init answered null: " + alone->last_text());
  alone->expect(0, "comm_abort of a session", api.comm_abort);
  require(alone->call(api.comm_alloc_windows, given_up, std::uint64_t{4096}, &context) != 0,
          "an aborted session made windows");
  alone->call(api.comm_destroy, given_up);

  on_two_ranks(probe, meeting, [&](Subject& s, std::int32_t rank, void* comm) {
    std::uint64_t address = 0;
    const auto met = s.call(api.comm_alloc_windows, comm, std::uint64_t{4096}, &address);
    if (rank == 0) {
      s.answered(0, met, "comm_alloc_windows");
      s.expect(0, "comm_abort", api.comm_abort);
    } else if (met == 0) {  // otherwise the news came while it met
      require(s.call(api.comm_barrier, comm) != 0, "a barrier succeeded although a rank aborted");
      require(!s.last_text().empty(), "an aborted barrier fails without a sentence");
    }
    s.call(api.comm_destroy, comm);  // waits for nobody
  });
}

void comm_arguments(Probe& probe) {
  const auto& api = probe.api();
  probe.need(api.comm_init != nullptr && api.comm_barrier != nullptr && api.comm_destroy != nullptr,
             "comm_*");
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto refused = [&](const char* what, std::int32_t rank, std::int32_t ranks, const char* path) {
    require(s.call(api.comm_init, rank, ranks, nullptr, path) == nullptr,
            std::string{"comm_init accepts "} + what);
    require(!s.last_text().empty(), std::string{"comm_init refuses "} + what + " without a sentence");
  };
  refused("a negative rank", -1, 2, "m");
  refused("a rank beyond the count", 2, 2, "m");
  refused("no ranks", 0, 0, "m");
  refused("65 ranks", 0, 65, "m");
  refused("a null path", 0, 2, nullptr);
  require(s.call(api.comm_barrier, nullptr) != 0, "comm_barrier accepts a null session");
  require(s.call(api.comm_destroy, nullptr) != 0, "comm_destroy accepts a null session");
}

}  // namespace

std::vector<Rule> window_rules() {
  return {
      {"windows", "windows are zeroed, bounded, and every rank reaches every window", windows_share,
       TROUPE_FEATURE_WINDOWS},
      {"window-blobs", "blobs and specs are validated, a commit needs all peers", window_blobs,
       TROUPE_FEATURE_WINDOWS},
      {"window-abort", "aborting a window ends every wait on it, in other contexts too", window_aborts,
       TROUPE_FEATURE_WINDOWS},
      {"window-release", "release forgets the own window and leaves the peers' alone", window_release,
       TROUPE_FEATURE_WINDOWS},
      {"comm-session", "two ranks meet, share windows and part", comm_session},
      {"comm-abort", "a session that is given up ends for every rank, and nobody is waited for", comm_abort},
      {"comm-arguments", "comm_* refuse impossible arguments with a sentence", comm_arguments},
  };
}

std::vector<Rule> all_rules() {
  std::vector<Rule> all;
  for (auto rules : {lifecycle_rules(), memory_rules(), callable_rules(), run_rules(), graph_rules(),
                     move_rules(), foreign_rules(), ending_rules(), window_rules()}) {
    all.insert(all.end(), rules.begin(), rules.end());
  }
  return all;
}

}  // namespace troupe::conformance
