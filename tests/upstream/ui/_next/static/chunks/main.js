fetch("/graphql", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ query: "{ version }" }),
})
  .then((response) => response.json())
  .then(({ data }) => {
    document.getElementById("root").textContent = "Dagster " + data.version;
  });
