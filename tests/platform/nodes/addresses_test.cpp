// Sockets of nodes: who connects, and where one listens.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "net/address.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace platform::isolation;
using namespace std::chrono_literals;

namespace {

/// Listens on loopback, and is full: who connects waits.
class FullListener {
 public:
  FullListener() {
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&here_), sizeof here_) == 0);
    REQUIRE(::listen(socket_.get(), 0) == 0);
    socklen_t size = sizeof here_;
    REQUIRE(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&here_), &size) == 0);
    for (auto& guest : guests_) {
      guest.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      (void)::connect(guest.get(), reinterpret_cast<const sockaddr*>(&here_), sizeof here_);
    }
  }
  Place place() const {
    Place place;
    std::memcpy(&place.address, &here_, sizeof here_);
    place.size = sizeof here_;
    return place;
  }

 private:
  comm::FileDescriptor socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in here_{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
  std::array<comm::FileDescriptor, 4> guests_;
};

Place place_of(int listening) {
  Place place;
  place.size = sizeof place.address;
  REQUIRE(::getsockname(listening, reinterpret_cast<sockaddr*>(&place.address), &place.size) == 0);
  return place;
}

}  // namespace

TEST_CASE("of several addresses of a host one that does not answer leaves time to the next") {
  const FullListener full;
  auto address = read_address("127.0.0.1:0").value();
  const auto listening = listen_at(address).value();
  const Place places[] = {full.place(), full.place(), place_of(listening.get())};
  const auto made = connect_to_one(places, "connecting", std::chrono::steady_clock::now() + 600ms);
  CHECK_MESSAGE(made.has_value(), render(made.error()));
  const auto none =
      connect_to_one(std::span(places).first(1), "connecting", std::chrono::steady_clock::now() + 50ms);
  REQUIRE_FALSE(none);
  CHECK_MESSAGE(contains(none.error().message(), "no answer in time"), none.error().message());
}

TEST_CASE("of several who listen at a name that is left over at once one does, and the others are told") {
  TemporaryFolder folder;
  const auto path = folder / "socket";
  for (int round = 0; round < 50; ++round) {
    {
      const comm::FileDescriptor old(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un where{};
      where.sun_family = AF_UNIX;
      std::memcpy(where.sun_path, path.c_str(), path.size() + 1);
      REQUIRE(::bind(old.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    }
    std::array<comm::FileDescriptor, 4> sockets;
    std::vector<std::thread> threads;
    std::atomic<int> ready{0};
    for (auto& socket : sockets) {
      threads.emplace_back([&] {
        auto address = read_address("unix:" + path).value();
        ++ready;
        while (ready.load() != 4) {
        }
        if (auto made = listen_at(address)) socket = *std::move(made);
      });
    }
    for (auto& thread : threads) thread.join();
    // Who listens is the one that is found.
    CHECK(std::count_if(sockets.begin(), sockets.end(), [](const auto& one) { return one.valid(); }) == 1);
    const auto found =
        connect_to(read_address("unix:" + path).value(), std::chrono::steady_clock::now() + 5s);
    CHECK_MESSAGE(found.has_value(), render(found.error()));
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
    std::filesystem::remove(path);
  }
}

TEST_CASE("a name at which somebody listens, or that is something else, is refused and stays") {
  TemporaryFolder folder;
  auto address = read_address("unix:" + (folder / "socket")).value();
  const auto first = listen_at(address).value();
  const auto mark = mark_of(folder / "socket");
  const auto second = listen_at(address);
  REQUIRE_FALSE(second);
  CHECK_MESSAGE(contains(second.error().message(), "in use"), second.error().message());
  CHECK(mark_of(folder / "socket") == mark);
  CHECK((std::filesystem::status(folder / "socket").permissions() & std::filesystem::perms::all) ==
        std::filesystem::perms(0600));
  auto other = read_address("unix:" + (folder / "folder")).value();
  std::filesystem::create_directory(folder / "folder");
  CHECK_FALSE(listen_at(other).has_value());
  CHECK(std::filesystem::is_directory(folder / "folder"));
}

TEST_CASE("a node that ends leaves another one's socket where it is") {
  TestNode node;
  const auto path = node.address().substr(5);
  auto old = std::move(node.node);
  std::filesystem::remove(path);
  node.start();
  old.reset();
  CHECK(platform::describe_node({node.address()}).has_value());
}
