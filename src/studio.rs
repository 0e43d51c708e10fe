//! The run manager: everything the program does with runs, without a word of HTTP.
//!
//! [`Studio`] is called from any thread. Its methods read small files and SQLite and may take
//! milliseconds, some longer (opening a data set, decoding pictures): an async caller puts them on
//! a blocking thread. One OS thread named `trainer` trains one run at a time; subscribers to
//! [`Studio::subscribe`] can never slow it.
//!
//! Locks, in the order in which they may be nested: desk, one run's recorder, live.

mod ancestry;
mod augmentation;
mod batch;
mod changes;
mod checkpoints;
mod comparison;
mod create;
mod curve_cache;
mod curve_import;
mod curves_figure;
mod data_dir;
mod data_sets;
mod desk;
mod edit;
mod embeddings;
mod error;
mod features;
mod figure;
mod file_cache;
mod follower;
mod fork;
mod gap;
mod live;
mod lock_file;
mod maps;
mod niceness;
pub mod notebooks;
mod pace;
mod picture_hashes;
mod prototypes;
mod queue;
mod recorder;
mod records;
mod relink;
mod run_directory;
mod run_id;
mod run_log;
mod run_snapshot;
mod run_state;
mod run_store;
mod runner;
mod series;
mod series_figure;
mod session;
mod step_clock;
mod storage;
mod supervision;
mod table_figure;
mod tensorboard;
mod thumbnails;
mod trainer;
mod typed_path;
mod view;
mod work;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use jiff::Timestamp;
use protoclip::analysis::MapFile;
use protoclip::config::{ConfigErrors, RunConfig};
use protoclip::device::{DeviceChoice, MachineMemory};
use protoclip::prototypes::FeatureSnapshot;

pub use augmentation::{AugmentationQuery, LARGEST_PREVIEW, PREVIEWED, VARIANTS, strip_size};
pub use batch::{BatchBlock, BatchCells, BatchPair, BatchQuery, BatchView, MOST_SHOWN, PushedPair};
pub use changes::{ChangeId, ChangeView};
pub use checkpoints::{
    BrokenOnShelf, CheckedFile, CheckpointDetail, CheckpointId, EvaluationRequest, ExportFolder,
    ImportRequest, Shelf, ShelvedCheckpoint, ShelvedFile, Verification,
};
pub use comparison::{
    Compared, ComparedCurve, Comparison, ComparisonAxis, ComparisonQuery, FEWEST_COMPARED,
    MOST_COMPARED, PlacedBucket, listed_runs, run_labels,
};
pub use create::{new_run, start_problems};
pub use curve_import::{CurveRequest, ImportedCurves, import_curves};
pub use data_dir::DataDir;
pub use data_sets::{
    CaptionSummary, ClassCount, DataSet, DataSetId, DataSetView, DataSets, FinishedTeacher,
    ListedDataSet, MOST_PAIRS, MOST_REPEATS, PairPage, PairQuery, PairView, RepeatedPicture,
    RepeatedPictures, SEARCHED, TeacherRequest, TeacherView,
};
pub use edit::RunEdit;
pub use embeddings::{EmbeddingQuery, FeatureKind};
pub use error::StudioError;
pub use figure::{Figure, FigureFormat, FigureLook, Palette};
pub use fork::{ForkRequest, LEARNING_RATE_FACTOR, can_change_in_fork};
pub use gap::{
    GapChart, GapMeasures, GapQuery, GapSort, GapView, GroupingView, MOST_SHIFT, PrototypeGapView,
    RetrievalView,
};
pub use live::{Message, MessageBody, Subscription};
pub use lock_file::{LockFile, LockHolder};
pub use maps::{
    FrameQuery, MOST_MAP_SAMPLES, MapFeatures, MapFrame, MapGroup, MapGroups, MapKey, MapMaking,
    MapSample, MapSpace, MapState, MapStatus, PackedMap, PlacedPoint, PrototypeLabel,
};
pub(crate) use niceness::hurry;
pub use picture_hashes::PicturesCompared;
pub use prototypes::{
    AbsentPrototype, CARD_SAMPLES, DESCRIBED_SHARES, DisagreementPage, DisagreementQuery,
    DisagreementRow, GroupedPrototype, GroupingAgreement, Health, HealthCount, Hop, HopKind, Kin,
    MOST_CARDS, MOST_SHEET_ROWS, NeighbourView, OVERFULL, Occurrence, OverlapView, PrototypeCard,
    PrototypeCut, PrototypeDetail, PrototypeGroup, PrototypeLineage, PrototypeMatching,
    PrototypeNode, PrototypePage, PrototypeQuery, PrototypeSort, PrototypesOverTime, RIVER_COLUMNS,
    Relative, River, RiverColumn, RiverFlow, RiverGroup, RiverLayout, RiverPlace, RiverStream,
    SHEET_ROWS, SampleView, SheetQuery, SpaceAgreement, StepAgreement, StepChanges, TargetShare,
    TargetView, TranslationDirection, TranslationView, Verdict,
};
pub use recorder::{Change, NewPrototypes, Recorder};
pub use relink::{NewPlace, relink_run};
pub use run_directory::{CurveOrigin, ForkOrigin, OmittedChange, RunDirectory, RunMeta};
pub use run_id::RunId;
pub use run_log::{LineKind, LogLine, NewLine};
pub use run_snapshot::{PhaseProgress, RunSnapshot};
pub use run_state::{Action, Request, RunState};
pub use run_store::{Batch, Point, RunStore};
pub use runner::{RunJob, Runner, TrainerRunner};
pub use series::{Bucket, FEWEST_BUCKETS, MOST_BUCKETS, Series, SeriesQuery};
pub use series_figure::{ChartCurve, ChartQuery};
pub use session::{Listener, SharedRecorder, run_session};
pub use storage::{RunStorage, Storage, instructions};
pub use supervision::{SupervisedStage, Supervision};
pub use table_figure::table_figure;
pub use tensorboard::{CurveFollower, TensorboardFile, export_tensorboard};
pub use thumbnails::{SIZES, Thumbnail};
pub use view::{CheckpointView, RunView, StudioFacts, data_name, episode_of_prototypes};
pub use work::{WorkKind, WorkState, WorkView};

use desk::Desk;
use file_cache::FileCache;
use live::Live;

/// The run manager of one data directory.
pub struct Studio {
    /// Itself, for the threads that it starts.
    own: Weak<Self>,
    data_dir: DataDir,
    data_sets: Arc<DataSets>,
    runner: Arc<dyn Runner>,
    /// What `auto` becomes in new runs.
    default_device: String,
    live: Arc<Live>,
    curves: curve_cache::CurveCache,
    snapshots: FileCache<prototypes::SnapshotView>,
    agreements: FileCache<StepAgreement>,
    lineages: FileCache<prototypes::SnapshotLineages>,
    /// Counts of snapshots that were looked through for an absent number.
    prototype_counts: FileCache<prototypes::PrototypeCounts>,
    /// By student and teacher.
    student_choices: [[FileCache<prototypes::StudentChoices>; 3]; 3],
    feature_files: FileCache<FeatureSnapshot>,
    map_files: FileCache<MapFile>,
    /// By space.
    map_groups: [FileCache<MapGroups>; 3],
    map_jobs: maps::MapJobs,
    gap_frames: FileCache<gap::GapFrame>,
    thumbnails: thumbnails::ThumbnailCache,
    desk: Mutex<Desk>,
    /// Signalled when the desk changes.
    desk_changed: Condvar,
    trainer: trainer::TrainerThread,
    lock: Mutex<LockFile>,
    opened: Instant,
    work: Arc<work::WorkBoard>,
    verifications: Arc<checkpoints::Verifications>,
    notebooks: notebooks::NotebookDesk,
    /// Held while the text of a notebook is replaced.
    notebook_text: Mutex<()>,
}

/// How a studio is set up.
pub struct StudioOptions {
    pub data_dir: DataDir,
    pub data_sets: Arc<DataSets>,
    pub runner: Arc<dyn Runner>,
    /// Device of new runs that leave it at `auto`.
    pub default_device: String,
}

impl Studio {
    /// Takes the data directory, marks runs that a dead process left behind as interrupted, and
    /// starts the trainer thread.
    ///
    /// # Errors
    /// When another server has the directory, or it cannot be read.
    pub fn start(options: StudioOptions) -> Result<Arc<Self>, StudioError> {
        let lock = options.data_dir.lock()?;
        data_sets::recall(&options.data_dir, &options.data_sets);
        let records = records::load_all(&options.data_dir, &options.data_sets)?;
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        let studio = Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            live: Arc::new(Live::new(records, now)),
            data_dir: options.data_dir,
            data_sets: options.data_sets,
            runner: options.runner,
            default_device: options.default_device,
            curves: curve_cache::CurveCache::default(),
            snapshots: FileCache::new(prototypes::KEPT),
            agreements: FileCache::new(prototypes::KEPT_AGREEMENTS),
            lineages: FileCache::new(prototypes::KEPT_LINEAGES),
            prototype_counts: FileCache::new(prototypes::KEPT_AGREEMENTS),
            student_choices: [const { [const { FileCache::new(prototypes::KEPT_CHOICES) }; 3] }; 3],
            feature_files: FileCache::new(features::KEPT),
            map_files: FileCache::new(maps::KEPT),
            map_groups: [const { FileCache::new(maps::KEPT_GROUPS) }; 3],
            map_jobs: maps::MapJobs::default(),
            gap_frames: FileCache::new(gap::KEPT),
            thumbnails: thumbnails::ThumbnailCache::default(),
            desk: Mutex::new(Desk::default()),
            desk_changed: Condvar::new(),
            trainer: trainer::TrainerThread::default(),
            lock: Mutex::new(lock),
            opened: Instant::now(),
            work: Arc::default(),
            verifications: Arc::default(),
            notebooks: notebooks::NotebookDesk::default(),
            notebook_text: Mutex::default(),
        });
        trainer::start(&studio)?;
        follower::start(&studio)?;
        maps::start(&studio)?;
        Ok(studio)
    }

    /// Writes the address of the server into the lock file, for those who come second.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, url: &str) -> Result<(), StudioError> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.describe(Some(url))
    }

    /// All runs, newest first.
    pub fn runs(&self) -> Vec<RunView> {
        let mut views = Vec::new();
        self.live.each(|record| views.push(RunView::from(record)));
        views.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
        views
    }

    /// One run.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn run(&self, id: &RunId) -> Result<RunView, StudioError> {
        Ok(RunView::from(&self.record(id)?))
    }

    /// The settings that a run was started with.
    ///
    /// # Errors
    /// When there is no such run, its settings cannot be read, or it was imported and has none.
    pub fn config(&self, id: &RunId) -> Result<Arc<RunConfig>, StudioError> {
        Ok(self.trained_here(id)?.config)
    }

    /// A curve of a run.
    ///
    /// # Errors
    /// When there is no such run or its database cannot be read.
    pub fn series(&self, id: &RunId, query: &SeriesQuery) -> Result<Series, StudioError> {
        match self.store(id)? {
            Some(store) => Ok(Series::of(
                &self.curves.curve(id, &query.tag, &store)?,
                query,
            )),
            None => Ok(Series {
                tag: query.tag.clone(),
                shown: 0,
                total: 0,
                points: Vec::new(),
            }),
        }
    }

    /// Every point of a curve, as (step, value), ascending.
    ///
    /// # Errors
    /// As [`Studio::series`].
    pub fn points(&self, id: &RunId, tag: &str) -> Result<Vec<(u64, f64)>, StudioError> {
        match self.store(id)? {
            Some(store) => Ok(Arc::unwrap_or_clone(self.curves.curve(id, tag, &store)?)),
            None => Ok(Vec::new()),
        }
    }

    /// Names of the curves of a run, each with its number of points.
    ///
    /// # Errors
    /// As [`Studio::series`].
    pub fn tags(&self, id: &RunId) -> Result<Vec<(String, u64)>, StudioError> {
        match self.store(id)? {
            Some(store) => store.tags(),
            None => Ok(Vec::new()),
        }
    }

    /// Log lines numbered above `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// As [`Studio::series`].
    pub fn log(&self, id: &RunId, after: i64, limit: usize) -> Result<Vec<LogLine>, StudioError> {
        match self.store(id)? {
            Some(store) => store.lines(after, limit),
            None => Ok(Vec::new()),
        }
    }

    /// Usable checkpoints of a run, oldest first.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn checkpoints(&self, id: &RunId) -> Result<Vec<CheckpointView>, StudioError> {
        self.record(id)?;
        let directory = self.data_dir.run(id);
        let found = self.runner.checkpoints(directory.path());
        Ok(found
            .into_iter()
            .map(|checkpoint| CheckpointView {
                step: checkpoint.step,
                episode: checkpoint.episode,
                path: checkpoint
                    .path
                    .strip_prefix(directory.path())
                    .unwrap_or(&checkpoint.path)
                    .display()
                    .to_string(),
                bytes: checkpoint.bytes,
                hash: checkpoint.hash,
                pinned: checkpoint.pinned,
            })
            .collect())
    }

    /// Listens to changes of all runs, after hearing again what came after number `after`.
    pub fn subscribe(&self, after: Option<u64>) -> Subscription {
        self.live.subscribe(after)
    }

    /// The machine and the directory.
    pub fn facts(&self) -> StudioFacts {
        let device = DeviceChoice::parse(&self.default_device)
            .and_then(DeviceChoice::open)
            .map_or_else(|e| e.to_string(), |device| device.name);
        StudioFacts {
            version: env!("CARGO_PKG_VERSION"),
            data_dir: self.data_dir.root().display().to_string(),
            free_bytes: self.data_dir.free_bytes().ok(),
            memory: MachineMemory::read(),
            device,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Seconds since it was started.
    pub fn uptime_seconds(&self) -> f64 {
        self.opened.elapsed().as_secs_f64()
    }

    fn notebook_writes(&self) -> MutexGuard<'_, ()> {
        self.notebook_text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, id: &RunId) -> Result<view::RunRecord, StudioError> {
        self.live.record(id).ok_or_else(|| no_run(id))
    }

    fn readable(&self, id: &RunId) -> Result<view::RunRecord, StudioError> {
        let record = self.record(id)?;
        if record.broken {
            let reason = record.snapshot.reason.unwrap_or_default();
            return Err(StudioError::Conflict(format!(
                "this run cannot be read: {reason}"
            )));
        }
        Ok(record)
    }

    /// The record of a run that has settings and could have checkpoints.
    fn trained_here(&self, id: &RunId) -> Result<view::RunRecord, StudioError> {
        let record = self.readable(id)?;
        match &record.meta.imported {
            Some(origin) => Err(StudioError::Conflict(origin.refusal())),
            None => Ok(record),
        }
    }

    /// The database of a run; `None` before anything was written.
    fn store(&self, id: &RunId) -> Result<Option<RunStore>, StudioError> {
        let path = self.database(id)?;
        path.map(|path| RunStore::read(&path)).transpose()
    }

    /// The directory of a run.
    fn run_path(&self, id: &RunId) -> std::path::PathBuf {
        self.data_dir.run(id).path().to_owned()
    }

    /// Its database as a file.
    fn database(&self, id: &RunId) -> Result<Option<std::path::PathBuf>, StudioError> {
        self.readable(id)?;
        let path = self.data_dir.run(id).database();
        Ok(path.exists().then_some(path))
    }
}

fn no_run(id: &RunId) -> StudioError {
    StudioError::NotFound(format!(
        "there is no run {id}; see /runs for those that exist"
    ))
}
