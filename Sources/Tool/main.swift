import RecallCommand

await RecallTool.start()
