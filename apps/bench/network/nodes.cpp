// What a network costs: the same programs on simulated chips in this process and on those of a node, a
// process of its own at the other end of a TLS connection over loopback, alternating in one run; and bytes to
// such a chip beside bytes over a bare TLS connection between two processes. Medians.
//   bench_nodes [repeats]
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/nodes.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using Clock = std::chrono::steady_clock;

namespace {

double seconds(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void independent(Orchestrator& node, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) node.submit(empty);
}
void with_tensors(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) node.submit(empty, in(x));
}
void chain(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) node.submit(empty, inout(x));
}
Program awaits(Orchestrator& node, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) co_await node.submit(empty);
}

struct Files {
  std::string folder = "/tmp/troupe-bench-XXXXXX";
  Files() {
    if (::mkdtemp(folder.data()) == nullptr) std::exit(1);
    const auto made = "'" TROUPE_COMMAND "' certs " + folder + " --node 127.0.0.1 --user me 2>/dev/null";
    if (std::system(made.c_str()) != 0) std::exit(1);  // NOLINT(concurrency-mt-unsafe)
  }
  ~Files() { std::filesystem::remove_all(folder); }
  platform::Credentials of(const std::string& name) const {
    return {folder + "/" + name + ".pem", folder + "/" + name + ".key", folder + "/ca.pem"};
  }
};

/// A process that says one line, then works until this one has gone.
std::string start(const std::function<void(int)>& body) {
  int ends[2];
  if (::pipe(ends) != 0) std::exit(1);
  if (::fork() == 0) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(ends[0]);
    body(ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string line;
  for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
  ::close(ends[0]);
  return line;
}

void say(int to, const std::string& line) { (void)!::write(to, (line + "\n").c_str(), line.size() + 1); }

void be_a_node(int to, const Files& files) {
  platform::NodeOptions options;
  options.listen = "127.0.0.1:0";
  options.chips = 2;
  options.credentials = files.of("127.0.0.1");
  options.allowed = {"me"};
  options.modules = {TROUPE_BENCH_MODULE};
  auto node = platform::NodeServer::start(std::move(options));
  say(to, node ? (*node)->address() : render(node.error()));
  if (node) ::pause();
}

SSL_CTX* secure(const Files& files, const std::string& name, bool listens) {
  const auto with = files.of(name);
  auto* const context = SSL_CTX_new(listens ? TLS_server_method() : TLS_client_method());
  SSL_CTX_use_certificate_chain_file(context, with.certificate.c_str());
  SSL_CTX_use_PrivateKey_file(context, with.key.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_load_verify_locations(context, with.authority.c_str(), nullptr);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");  // as the chip's connections
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, std::size_t{256} << 10U);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

/// Takes in any number of transfers, 8 bytes of length before each, and answers each with one.
void take_bytes(int to, const Files& files) {
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  if (::bind(listening, reinterpret_cast<sockaddr*>(&where), size) != 0 || ::listen(listening, 1) != 0)
    return;
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&where), &size);
  say(to, std::to_string(ntohs(where.sin_port)));
  auto* const connection = SSL_new(secure(files, "127.0.0.1", true));
  SSL_set_fd(connection, ::accept(listening, nullptr, nullptr));
  if (SSL_accept(connection) != 1) return;
  std::vector<char> memory(std::size_t{1} << 20U);
  std::uint64_t left = 0;
  while (SSL_read(connection, &left, sizeof left) == sizeof left) {
    while (left != 0) {
      const int came =
          SSL_read(connection, memory.data(), static_cast<int>(std::min<std::uint64_t>(left, memory.size())));
      if (came <= 0) return;
      left -= static_cast<std::uint64_t>(came);
    }
    SSL_write(connection, "x", 1);
  }
}

class Bare {
 public:
  Bare(const Files& files, const std::string& port) : connection_(SSL_new(secure(files, "me", false))) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
    if (::connect(socket, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) std::exit(1);
    SSL_set_fd(connection_, socket);
    if (SSL_connect(connection_) != 1) std::exit(1);
  }
  void send(const std::vector<std::byte>& bytes, std::size_t times) const {
    const std::uint64_t all = bytes.size() * times;
    SSL_write(connection_, &all, sizeof all);
    for (std::size_t i = 0; i < times; ++i)
      SSL_write(connection_, bytes.data(), static_cast<int>(bytes.size()));
    char answer = 0;
    SSL_read(connection_, &answer, 1);
  }

 private:
  SSL* connection_;
};

void compare(const char* what, int units, int repeats, const Node& here, const Node& there,
             const std::function<void(const Node&)>& body) {
  std::vector<double> in_process, remote;
  body(here);
  body(there);
  for (int i = 0; i < repeats; ++i) {
    for (const auto* node : {&here, &there}) {
      const auto begin = Clock::now();
      body(*node);
      (node == &here ? in_process : remote).push_back(seconds(begin) / units * 1e6);
    }
  }
  const auto a = median(in_process), b = median(remote);
  std::printf("%-40s in process %8.2f us   remote %8.2f us (%.2f to %.2f)   in process / remote %.2f\n", what,
              a, b, *std::min_element(remote.begin(), remote.end()),
              *std::max_element(remote.begin(), remote.end()), a / b);
}

void round_trips(platform::DeviceContext& context, int repeats) {
  std::vector<double> times;
  for (int i = 0; i < 400 * repeats; ++i) {
    const auto begin = Clock::now();
    (void)context.free(0);
    times.push_back(seconds(begin) * 1e6);
  }
  std::sort(times.begin(), times.end());
  std::printf("%-40s %8.0f us (p99 %.0f)   goal <= 250\n", "a call to a chip and its answer", median(times),
              times[times.size() * 99 / 100]);
}

void bytes(platform::DeviceContext& context, const Bare& bare, std::size_t size, std::size_t times,
           int under_way, int repeats) {
  const std::vector<std::byte> sent(size, std::byte{7});
  std::vector<std::uint64_t> there;
  for (int i = 0; i < under_way; ++i) there.push_back(context.malloc(size).value());
  std::vector<double> ours, theirs, back;
  std::vector<std::vector<std::byte>> came(static_cast<std::size_t>(under_way), std::vector<std::byte>(size));
  const auto speed = [&](const std::function<void(std::size_t thread)>& copy) {
    const auto begin = Clock::now();
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < came.size(); ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t n = t; n < times; n += came.size()) copy(t);
      });
    }
    for (auto& thread : threads) thread.join();
    return static_cast<double>(size * times) / seconds(begin) / 1e9;
  };
  for (int i = 0; i < repeats; ++i) {
    const auto begin = Clock::now();
    bare.send(sent, times);
    theirs.push_back(static_cast<double>(size * times) / seconds(begin) / 1e9);
    ours.push_back(speed([&](std::size_t t) { context.copy_to(there[t], sent.data(), size).value(); }));
    back.push_back(speed([&](std::size_t t) { context.copy_from(came[t].data(), there[t], size).value(); }));
  }
  for (const auto address : there) context.free(address).value();
  std::printf(
      "%4zu MiB to a chip, %d under way            %8.2f GB/s   bare TLS %.2f   ours / bare %.2f   back "
      "%.2f, / bare %.2f\n",
      size >> 20U, under_way, median(ours), median(theirs), median(ours) / median(theirs), median(back),
      median(back) / median(theirs));
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
  const Files files;
  // Before there are threads.
  const auto address = start([&](int to) { be_a_node(to, files); });
  const auto port = start([&](int to) { take_bytes(to, files); });
  platform::RemoteNode remote;
  remote.address = address;
  remote.credentials = files.of("me");
  {
    platform::RemoteChip chip;
    chip.node = remote;
    chip.pod = platform::new_pod_number();
    auto context = platform::DeviceContext::create(platform::remote(chip).value(),
                                                   std::make_shared<platform::HostThreads>())
                       .value();
    context.set_device(0).value();
    round_trips(context, repeats);
    const Bare bare(files, port);
    bytes(context, bare, std::size_t{1} << 20U, 256, 8, repeats);
    bytes(context, bare, std::size_t{256} << 20U, 4, 1, repeats);
  }
  System system;
  NodeConfig config;
  config.name = "here";
  config.chips = 2;
  auto here = system.node(config);
  config.name = "there";
  config.remote = {remote};
  auto there = system.node(config);
  for (const auto& node : {here, there}) node.load(TROUPE_BENCH_MODULE);
  compare("independent, no tensors", 20000, repeats, here, there,
          [](const Node& node) { node.run(independent, 20000); });
  auto x = here.tensor<float>({1}), y = there.tensor<float>({1});
  const auto tensor_of = [&](const Node& node) { return node.name() == "here" ? x : y; };
  compare("independent, a tensor", 20000, repeats, here, there,
          [&](const Node& node) { node.run(with_tensors, tensor_of(node), 20000); });
  compare("chain", 20000, repeats, here, there,
          [&](const Node& node) { node.run(chain, tensor_of(node), 20000); });
  compare("awaited", 1000, repeats, here, there, [](const Node& node) { node.run(awaits, 1000); });
}
