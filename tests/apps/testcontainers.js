// What a test does with Testcontainers and its reaper: node testcontainers.js; prints JSON.
const { randomUUID } = require("crypto");
const { GenericContainer, Network, Wait } = require("testcontainers");

async function refusal(container) {
  try {
    await (await container.start()).stop();
    return "started";
  } catch (error) {
    return error.message;
  }
}

async function main() {
  const network = await new Network({ nextUuid: () => `tests-${randomUUID()}` }).start();
  const database = await new GenericContainer("busybox:latest")
    .withCommand(["sh", "-c", "echo ready; exec httpd -f -p 8080 -h /etc"])
    .withNetwork(network)
    .withNetworkAliases("database")
    .withExposedPorts(8080)
    .withCopyContentToContainer([{ content: "copied", target: "/etc/copied" }])
    .withWaitStrategy(Wait.forLogMessage("ready"))
    .start();
  const address = `http://${database.getHost()}:${database.getMappedPort(8080)}/copied`;
  const { output } = await database.exec(["cat", "/etc/copied"]);
  return {
    output,
    page: await (await fetch(address)).text(),
    container: database.getId(),
    network: network.getId(),
    unnamed: await new Network().start().then(() => "made", (error) => error.message),
    privileged: await refusal(new GenericContainer("busybox:latest").withPrivilegedMode()),
    host: await refusal(new GenericContainer("busybox:latest").withBindMounts([{ source: "/", target: "/host" }])),
  };
}

// What is left is for the reaper.
main().then((result) => {
  console.log(JSON.stringify(result));
  process.exit(0);
});
