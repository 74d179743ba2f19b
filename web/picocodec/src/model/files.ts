/** The files of models below a URL: `<name>.v<N>/<file>`, and which one encoders take. */
import { type Downloaded, fetchBytes, fetchVerified } from "../downloads.js";
import { UnknownModel } from "../errors.js";
import { type Description, type Model, readDescription, withTables } from "./model.js";

export class ModelFiles {
  private readonly models = new Map<string, Promise<Model>>();

  constructor(
    private readonly base: URL,
    private readonly downloaded: Downloaded,
  ) {}

  /** The full name of the model that new files are made with. */
  async defaultName(): Promise<string> {
    const text = await this.text(new URL("index.json", this.base));
    return (JSON.parse(text) as { default: string }).default;
  }

  /** A model by its full name. Throws `UnknownModel` if it is not there, or is damaged. */
  async model(name: string): Promise<Model> {
    const known = this.models.get(name) ?? this.load(name);
    this.models.set(name, known);
    try {
      return await known;
    } catch (error) {
      this.models.delete(name); // the next time, the network may be there
      throw error;
    }
  }

  /** A file that the model names, verified. Throws `UnknownModel`. */
  async read(model: Description, file: string): Promise<Uint8Array<ArrayBuffer>> {
    const hash = model.hashes.get(file);
    if (hash === undefined) throw new UnknownModel(`${model.name} has no ${file}`);
    return fetchVerified(this.urlOf(model.name, file), hash, this.downloaded);
  }

  private async load(name: string): Promise<Model> {
    const url = this.urlOf(name, "model.toml");
    const description = await readDescription(await this.text(url));
    if (description.name !== name) {
      throw new UnknownModel(`${url} describes ${description.name}, not ${name}`);
    }
    return withTables(description, await this.read(description, "tables.npz"));
  }

  private async text(url: URL): Promise<string> {
    return new TextDecoder().decode(await fetchBytes(url, this.downloaded));
  }

  private urlOf(name: string, file: string): URL {
    return new URL(`${name}/${file}`, this.base);
  }
}
