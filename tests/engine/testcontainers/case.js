// What a test does with Testcontainers: node case.js WORKSPACE CONTEXT TAG; prints JSON.
process.env.TESTCONTAINERS_RYUK_DISABLED = "true"; // its image cannot be pulled here
// At a unix socket, where tests run in a container themselves, it asks for the gateway of a network that the Engine of
// the tests does not have: bridge.
process.env.TESTCONTAINERS_HOST_OVERRIDE = "127.0.0.1";

const { GenericContainer, Network, Wait } = require("testcontainers");

async function refusal(container) {
  try {
    await (await container.start()).stop();
    return "started";
  } catch (error) {
    return error.message;
  }
}

async function main(workspace, context, tag) {
  const network = await new Network().start();
  const image = await GenericContainer.fromDockerfile(context).build(tag, { deleteOnExit: false });
  const container = await image
    .withCommand(["sh", "-c", "echo ready; exec sleep 3600"])
    .withNetwork(network)
    .withNetworkAliases("app")
    .withBindMounts([{ source: workspace, target: "/work" }])
    .withCopyContentToContainer([{ content: "copied", target: "/copied" }])
    .withWaitStrategy(Wait.forLogMessage("ready"))
    .start();
  const { output, exitCode } = await container.exec(["cat", "/built", "/copied", "/work/file"]);
  await container.stop({ timeout: 0 });
  return {
    network: network.getId(),
    output,
    exitCode,
    privileged: await refusal(new GenericContainer(tag).withPrivilegedMode()),
    host: await refusal(new GenericContainer(tag).withBindMounts([{ source: "/", target: "/host" }])),
    socket: await refusal(
      new GenericContainer(tag).withBindMounts([{ source: "/var/run/docker.sock", target: "/s" }]),
    ),
  };
}

main(...process.argv.slice(2)).then((result) => console.log(JSON.stringify(result)));
