(** rules.md, Lemma 4: of the choices that hold what they need, how many have a sum of numbers that reaches 0: at least as
    many from above, at most as many from below. *)

From Coq Require Import ZArith List Lia Bool Arith.
From Compact Require Import Integer.Matrix Integer.Dyadic Real.ScaledExp Count.Counting Count.Packed Facts.
Import ListNotations.
Open Scope Z_scope.

Definition phases_to_a_step : Z := 65536.

(** ** Powers and products, of which only the last bits are kept *)

Fixpoint power (mask x : Z) (n : positive) : Z :=
  match n with
  | xH => x
  | xO half => let root := power mask x half in Z.land (root * root) mask
  | xI half => let root := power mask x half in Z.land (Z.land (root * root) mask * x) mask
  end.

(** Neighbours that are the same table, counted. *)
Fixpoint runs_of (uses : list nat) : list (nat * positive) :=
  match uses with
  | [] => []
  | i :: rest =>
      match runs_of rest with
      | (j, n) :: more => if Nat.eqb i j then (j, Pos.succ n) :: more else (i, 1%positive) :: (j, n) :: more
      | [] => [(i, 1%positive)]
      end
  end.

Definition product_of (mask : Z) (numbers : list Z) (runs : list (nat * positive)) : Z :=
  fold_left (fun found run => Z.land (found * power mask (nth (fst run) numbers 0) (snd run)) mask) runs 1.

Lemma same_products : forall n a a' b b', a mod n = a' mod n -> b mod n = b' mod n -> (a * b) mod n = (a' * b') mod n.
Proof.
  intros n a a' b b' A B. destruct (Z.eq_dec n 0) as [->|some]; [rewrite !Zmod_0_r in *; congruence|].
  rewrite (Z.mul_mod a), (Z.mul_mod a'), A, B by assumption. reflexivity.
Qed.

Lemma power_right : forall bits x n, 0 <= bits -> power (Z.ones bits) x n mod 2 ^ bits = x ^ Zpos n mod 2 ^ bits.
Proof.
  intros bits x n natural. assert (P : 2 ^ bits <> 0) by (apply Z.pow_nonzero; lia).
  induction n as [n IH|n IH|]; cbn [power]; rewrite ?Z.land_ones, ?Z.mod_mod by assumption.
  - replace (x ^ Z.pos n~1) with (x ^ Zpos n * x ^ Zpos n * x)
      by (rewrite Pos2Z.inj_xI, <- Z.add_diag, !Z.pow_add_r, Z.pow_1_r by lia; reflexivity).
    apply same_products; [|reflexivity]. rewrite Z.mod_mod by assumption. now apply same_products.
  - replace (x ^ Z.pos n~0) with (x ^ Zpos n * x ^ Zpos n)
      by (rewrite Pos2Z.inj_xO, <- Z.add_diag, !Z.pow_add_r by lia; reflexivity).
    now apply same_products.
  - now rewrite Z.pow_1_r.
Qed.

Lemma runs_right : forall (f : nat -> Z) uses,
  multiply (map (fun run => f (fst run) ^ Zpos (snd run)) (runs_of uses)) = multiply (map f uses).
Proof.
  intros f. induction uses as [|i rest IH]; [reflexivity|]. cbn [runs_of map multiply].
  destruct (runs_of rest) as [|[j n] more]; cbn [map multiply fst snd] in *.
  - rewrite <- IH. now rewrite Z.pow_1_r.
  - destruct (Nat.eqb i j) eqn:E; cbn [map multiply fst snd].
    + apply Nat.eqb_eq in E. subst j. rewrite <- IH, Pos2Z.inj_succ, Z.pow_succ_r by lia. ring.
    + rewrite <- IH, Z.pow_1_r. reflexivity.
Qed.

Lemma product_of_right : forall bits numbers uses, 0 <= bits ->
  product_of (Z.ones bits) numbers (runs_of uses) mod 2 ^ bits = multiply (map (fun i => nth i numbers 0) uses) mod 2 ^ bits.
Proof.
  intros bits numbers uses natural. rewrite <- runs_right. unfold product_of.
  assert (0 < 2 ^ bits) by now apply Z.pow_pos_nonneg.
  assert (G : forall runs found,
    fold_left (fun found run => Z.land (found * power (Z.ones bits) (nth (fst run) numbers 0) (snd run)) (Z.ones bits)) runs found
      mod 2 ^ bits
    = (found * multiply (map (fun run => nth (fst run) numbers 0 ^ Zpos (snd run)) runs)) mod 2 ^ bits).
  { induction runs as [|run runs IH]; intros found; cbn [fold_left map multiply]; [now rewrite Z.mul_1_r|].
    rewrite IH, Z.mul_assoc. apply same_products; [|reflexivity]. rewrite Z.land_ones, Z.mod_mod by lia.
    apply same_products; [reflexivity | now apply power_right]. }
  rewrite G. now rewrite Z.mul_1_l.
Qed.

Lemma product_of_small : forall bits numbers uses, 0 < bits -> 0 <= product_of (Z.ones bits) numbers (runs_of uses) < 2 ^ bits.
Proof.
  intros bits numbers uses natural. unfold product_of.
  assert (1 < 2 ^ bits) by (apply Z.pow_gt_1; lia).
  assert (G : forall runs found, 0 <= found < 2 ^ bits ->
    0 <= fold_left (fun found run => Z.land (found * power (Z.ones bits) (nth (fst run) numbers 0) (snd run)) (Z.ones bits)) runs found < 2 ^ bits).
  { induction runs as [|run runs IH]; intros found F; cbn [fold_left]; [assumption|]. apply IH.
    rewrite Z.land_ones by lia. apply Z.mod_pos_bound. lia. }
  apply G. lia.
Qed.

(** ** The program *)

(** The name and the number of each member of a table; a choice takes one member of a table each time it is used. *)
Definition table := list (nat * Z).

(** The least loss, and what each member loses beyond it. *)
Definition losses_of (upper : bool) (step phase : Z) (entries : table) : Z * table :=
  let start := if upper then phase * step / phases_to_a_step else - (- (phase * step) / phases_to_a_step) + step - 1 in
  let least := (start - largest (map snd entries)) / step in
  (least, map (fun one => (fst one, (start - snd one) / step - least)) entries).

(** How many choices without these names lose at most what [bits] leave room for, [w] bits for each unit of loss. *)
Definition number_without (w bits : Z) (losses : list table) (runs : list (nat * positive)) (names : list nat) : Z :=
  let polynomials := map (fun t : table => add_up (map (fun one : nat * Z =>
    if existsb (Nat.eqb (fst one)) names then 0 else Z.shiftl 1 (w * snd one)) t)) losses in
  product_of (Z.ones bits) polynomials runs mod (Z.shiftl 1 w - 1).

(** [m] is needed, and [also], if there is one. *)
Definition count_reaching (upper : bool) (limit : Z) (tables : list table) (uses : list nat) (runs : list (nat * positive))
  (step : Z) (phases : list Z) (m : nat) (also : option nat) : outcome Z :=
  let parts := map (fun i => losses_of upper step (nth i phases 0) (nth i tables [])) (seq 0 (length tables)) in
  let most := add_up (map (fun i => nth i phases 0) uses) / phases_to_a_step - add_up (map (fun i => fst (nth i parts (0, []))) uses) in
  if most <? 0 then Fine 0 else
  let losses := map (fun part : Z * table => filter (fun one => snd one <=? most) (snd part)) parts in
  let choices := multiply (map (fun i => Z.of_nat (length (nth i losses []))) uses) in
  if choices =? 0 then Fine 0 else
  let w := bit_length choices + 1 in
  let bits := w * (most + 1) in
  require ((bits <=? limit) && (0 <? w) && (choices <? Z.shiftl 1 w - 1)) over_budget
  (Fine match also with
   | None => number_without w bits losses runs [] - number_without w bits losses runs [m]
   | Some t => number_without w bits losses runs [] - number_without w bits losses runs [m]
               - number_without w bits losses runs [t] + number_without w bits losses runs [m; t]
   end).

(** ** What it counts *)

Section Sound.
Context {A : Type}.
Variables (row : nat -> list A) (table_of : A -> nat) (name : A -> nat) (number : A -> Z).
Variables (tables : list table) (uses : list nat).
Hypothesis its_table : forall i a, In a (row i) -> table_of a = i.
Hypothesis tables_right : forall i, In i uses ->
  (i < length tables)%nat /\ nth i tables [] = map (fun a => (name a, number a)) (row i).
Notation rows := (map row uses).

Definition has (n : nat) (cs : list A) : bool := existsb (fun a => Nat.eqb (name a) n) cs.
Definition lacks (names : list nat) (cs : list A) : bool := forallb (fun a => negb (existsb (Nat.eqb (name a)) names)) cs.
Definition number_of (cs : list A) : Z := add_up (map number cs).

Variables (upper : bool) (step : Z) (phases : list Z).
Hypothesis step_pos : 0 < step.

Let phase (i : nat) : Z := nth i phases 0.
Let start (i : nat) : Z :=
  if upper then phase i * step / phases_to_a_step else - (- (phase i * step) / phases_to_a_step) + step - 1.
Let least (i : nat) : Z := fst (losses_of upper step (phase i) (nth i tables [])).
Let raw (a : A) : Z := (start (table_of a) - number a) / step.
Let loss (a : A) : Z := raw a - least (table_of a).
Let most : Z := add_up (map phase uses) / phases_to_a_step - add_up (map least uses).

Lemma members_of_rows : forall cs, In cs (product rows) -> map table_of cs = uses /\ Forall (fun a => In a (row (table_of a)) /\ In (table_of a) uses) cs.
Proof.
  intros cs I. apply in_product in I. clear tables_right most.
  assert (G : forall some, incl some uses -> forall cs, Forall2 (fun c row => In c row) cs (map row some) ->
    map table_of cs = some /\ Forall (fun a => In a (row (table_of a)) /\ In (table_of a) uses) cs).
  { induction some as [|i some IH]; intros inside cs' H; inversion H as [|a ? cs'' ? J K]; subst; [now split|].
    destruct (IH ltac:(intros x X; apply inside; now right) cs'' K) as [E all]. pose proof (its_table i a J) as T.
    cbn [map]. rewrite E, T. split; [reflexivity|]. constructor; [|assumption]. rewrite T. split; [assumption|].
    apply inside. now left. }
  apply (G uses); [apply incl_refl | assumption].
Qed.

Lemma least_at : forall i, In i uses -> least i = (start i - largest (map number (row i))) / step.
Proof.
  intros i U. destruct (tables_right i U) as [_ E]. unfold least, losses_of. cbn [fst]. rewrite E, map_map. reflexivity.
Qed.

Lemma largest_loss : forall i a, In i uses -> In a (row i) -> 0 <= loss a.
Proof.
  intros i a U I. unfold loss, raw. rewrite (its_table i a I), least_at by assumption.
  assert (number a <= largest (map number (row i))) by (apply largest_ge; now apply in_map).
  assert ((start i - largest (map number (row i))) / step <= (start i - number a) / step) by (apply Z.div_le_mono; lia).
  lia.
Qed.

Lemma phases_positive : 0 < phases_to_a_step.
Proof. reflexivity. Qed.

(** Sums over a choice of what belongs to its tables. *)
Lemma along : forall (f : nat -> Z) cs, In cs (product rows) -> add_up (map (fun a => f (table_of a)) cs) = add_up (map f uses).
Proof. intros f cs I. destruct (members_of_rows cs I) as [<- _]. now rewrite map_map. Qed.

Lemma raw_above : upper = true -> forall a,
  phases_to_a_step * (step * raw a) <= phase (table_of a) * step - phases_to_a_step * number a.
Proof.
  intros up a. unfold raw, start. rewrite up. pose proof phases_positive.
  pose proof (Z.mul_div_le (phase (table_of a) * step / phases_to_a_step - number a) step step_pos).
  pose proof (Z.mul_div_le (phase (table_of a) * step) phases_to_a_step phases_positive).
  apply Z.le_trans with (phases_to_a_step * (phase (table_of a) * step / phases_to_a_step - number a)); [|lia].
  apply Z.mul_le_mono_nonneg_l; lia.
Qed.

Lemma raw_below : upper = false -> forall a,
  phase (table_of a) * step - phases_to_a_step * number a <= phases_to_a_step * (step * raw a).
Proof.
  intros up a. unfold raw, start. rewrite up. pose proof phases_positive.
  set (p := phase (table_of a) * step). set (up_ := - (- p / phases_to_a_step)).
  pose proof (Z.mul_succ_div_gt (up_ + step - 1 - number a) step step_pos) as G.
  assert (p <= phases_to_a_step * up_).
  { unfold up_. pose proof (Z.mul_div_le (- p) phases_to_a_step phases_positive). lia. }
  apply Z.le_trans with (phases_to_a_step * (up_ - number a)); [lia|].
  apply Z.mul_le_mono_nonneg_l; [lia|]. rewrite <- Z.add_1_r in G. lia.
Qed.

Lemma sum_raw : forall cs, add_up (map (fun a => phases_to_a_step * (step * raw a)) cs) =
  phases_to_a_step * (step * add_up (map raw cs)).
Proof. intros cs. now rewrite (add_up_scale A (fun a => step * raw a)), add_up_scale. Qed.

Lemma sum_bound : forall cs, add_up (map (fun a => phase (table_of a) * step - phases_to_a_step * number a) cs) =
  step * add_up (map (fun a => phase (table_of a)) cs) - phases_to_a_step * number_of cs.
Proof. unfold number_of. induction cs as [|a cs IH]; cbn [map add_up]; [lia|]. rewrite IH. ring. Qed.

Lemma sum_loss : forall cs, In cs (product rows) -> loss_of loss cs = add_up (map raw cs) - add_up (map least uses).
Proof.
  intros cs I. rewrite <- (along least cs I). clear I. unfold loss_of, loss.
  induction cs as [|a cs IH]; cbn [map add_up]; [lia|]. rewrite IH. lia.
Qed.

(** From above, whoever reaches 0 loses at most [most]. *)
Lemma reaching_loses_little : upper = true -> forall cs, In cs (product rows) -> 0 <= number_of cs -> loss_of loss cs <= most.
Proof.
  intros up cs I reaches. rewrite sum_loss by assumption. unfold most. apply Z.sub_le_mono_r.
  pose proof phases_positive. apply Z.div_le_lower_bound; [assumption|].
  assert (S : phases_to_a_step * (step * add_up (map raw cs)) <= step * add_up (map phase uses) - phases_to_a_step * number_of cs).
  { rewrite <- (along phase cs I), <- sum_raw, <- sum_bound. apply add_up_le. intros a _. now apply raw_above. }
  apply Z.mul_le_mono_pos_l with step; [assumption|]. nia.
Qed.

(** From below, whoever loses at most [most] reaches 0. *)
Lemma losing_little_reaches : upper = false -> forall cs, In cs (product rows) -> loss_of loss cs <= most -> 0 <= number_of cs.
Proof.
  intros up cs I little. rewrite sum_loss in little by assumption. unfold most in little. apply Z.sub_le_mono_r in little.
  pose proof phases_positive.
  assert (phases_to_a_step * add_up (map raw cs) <= add_up (map phase uses)).
  { pose proof (Z.mul_div_le (add_up (map phase uses)) phases_to_a_step phases_positive). nia. }
  assert (S : step * add_up (map phase uses) - phases_to_a_step * number_of cs <= phases_to_a_step * (step * add_up (map raw cs))).
  { rewrite <- (along phase cs I), <- sum_raw, <- sum_bound. apply add_up_le. intros a _. now apply raw_below. }
  nia.
Qed.

(** *** The counts are exact *)

Notation parts := (map (fun i => losses_of upper step (nth i phases 0) (nth i tables [])) (seq 0 (length tables))).
Notation losses := (map (fun part : Z * table => filter (fun one => snd one <=? most) (snd part)) parts).

Lemma part_at : forall i, In i uses -> nth i parts (0, []) = (least i, map (fun a => (name a, loss a)) (row i)).
Proof.
  intros i U. destruct (tables_right i U) as [small E].
  rewrite (nth_map _ _ _ (seq 0 (length tables)) i 0%nat) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
  change (losses_of upper step (nth i phases 0) (nth i tables []))
    with (least i, map (fun one => (fst one, (start i - snd one) / step - least i)) (nth i tables [])).
  f_equal. rewrite E, map_map. apply map_ext_in. intros a I. cbn [fst snd].
  unfold loss, raw. now rewrite (its_table i a I).
Qed.

Definition kept (a : A) : bool := loss a <=? most.

Lemma losses_at : forall i, In i uses -> nth i losses [] = map (fun a => (name a, loss a)) (filter kept (row i)).
Proof.
  intros i U. destruct (tables_right i U) as [small _].
  rewrite (nth_map _ _ _ parts i (0, []) []) by now rewrite map_length, seq_length.
  rewrite part_at by assumption. cbn [snd]. now rewrite filter_map.
Qed.

Definition little (cs : list A) : bool := loss_of loss cs <=? most.

Lemma add_up_filter : forall (f : A -> Z) P l, add_up (map f (filter P l)) = add_up (map (fun a => if P a then f a else 0) l).
Proof. induction l as [|a l IH]; [reflexivity|]. cbn [filter map add_up]. destruct (P a); cbn [map add_up]; lia. Qed.

Lemma add_up_ones : forall (P : A -> bool) l, Z.of_nat (length (filter P l)) = add_up (map (fun a => if P a then 1 else 0) l).
Proof. induction l as [|a l IH]; [reflexivity|]. cbn [filter map add_up]. destruct (P a); cbn [length]; lia. Qed.

Lemma natural_rows : forall P, Forall (natural_losses P loss) rows.
Proof.
  intros P. apply Forall_forall. intros r I. apply in_map_iff in I. destruct I as (i & <- & U).
  apply Forall_forall. intros a J _. now apply (largest_loss i).
Qed.

Lemma little_keeps : forall cs, In cs (product rows) -> little cs = true -> forallb kept cs = true.
Proof.
  intros cs I L. unfold little in L. apply Z.leb_le in L. apply forallb_forall. intros a J. unfold kept. apply Z.leb_le.
  destruct (losses_nonneg (fun _ => true) loss cs) as [_ all].
  - apply (choice_natural _ _ rows); [apply natural_rows | assumption].
  - now apply forallb_forall.
  - specialize (all a J). lia.
Qed.
Lemma polynomial_at : forall w names i, In i uses ->
  nth i (map (fun t : table => add_up (map (fun one : nat * Z =>
    if existsb (Nat.eqb (fst one)) names then 0 else Z.shiftl 1 (w * snd one)) t)) losses) 0
  = add_up (map (term (fun a => kept a && negb (existsb (Nat.eqb (name a)) names)) loss w) (row i)).
Proof.
  intros w names i U. set (f := fun t : table => add_up _). change 0 with (f []). rewrite map_nth, losses_at by assumption.
  unfold f. rewrite map_map, add_up_filter. f_equal. apply map_ext. intros a. cbn [fst snd]. unfold term.
  destruct (kept a), (existsb (Nat.eqb (name a)) names); cbn [andb negb]; try reflexivity. apply Z.shiftl_1_l.
Qed.

Lemma forallb_and : forall (P Q : A -> bool) l, forallb (fun a => P a && Q a) l = forallb P l && forallb Q l.
Proof. induction l as [|a l IH]; [reflexivity|]. cbn [forallb]. rewrite IH. destruct (P a), (Q a), (forallb P l); reflexivity. Qed.

Lemma little_within : forall names cs, In cs (product rows) ->
  within (fun a => kept a && negb (existsb (Nat.eqb (name a)) names)) loss most cs = little cs && lacks names cs.
Proof.
  intros names cs I. unfold within. rewrite forallb_and. fold (little cs). unfold lacks. pose proof (little_keeps cs I) as K.
  destruct (little cs); [rewrite K by reflexivity; apply andb_true_r | apply andb_false_r].
Qed.

Lemma choices_count : multiply (map (fun i => Z.of_nat (length (nth i losses []))) uses) = count (forallb kept) rows.
Proof.
  rewrite count_allowed, (map_map row). f_equal. apply map_ext_in. intros i U. rewrite losses_at by assumption.
  now rewrite map_length, add_up_ones.
Qed.

Lemma number_right : forall w names, 0 <= most -> 0 < w ->
  multiply (map (fun i => Z.of_nat (length (nth i losses []))) uses) < 2 ^ w - 1 ->
  number_without w (w * (most + 1)) losses (runs_of uses) names = count (fun cs => little cs && lacks names cs) rows.
Proof.
  intros w names natural positive few. rewrite choices_count in few.
  set (allowed := fun a => kept a && negb (existsb (Nat.eqb (name a)) names)).
  rewrite <- (count_ext (within allowed loss most) _ rows) by (intros; now apply little_within).
  rewrite <- (packed_count allowed loss w most positive natural rows (natural_rows allowed)).
  2:{ apply Z.le_lt_trans with (2 := few). apply count_le. intros cs _ W. unfold within, allowed in W.
      rewrite forallb_and in W. apply andb_prop in W. destruct W as [W _]. now apply andb_prop in W. }
  unfold number_without. rewrite Z.shiftl_1_l. f_equal.
  rewrite <- (Z.mod_small (product_of _ _ _) (2 ^ (w * (most + 1)))) by (apply product_of_small; nia).
  rewrite product_of_right by nia. f_equal. rewrite (map_map row). f_equal. apply map_ext_in. intros i U.
  now apply polynomial_at.
Qed.

(** *** The choices that hold what they need *)

Definition held (m : nat) (also : option nat) (cs : list A) : bool :=
  has m cs && match also with None => true | Some t => has t cs end.

Lemma has_lacks : forall n cs, has n cs = negb (lacks [n] cs).
Proof.
  unfold has, lacks. induction cs as [|a cs IH]; [reflexivity|]. cbn [existsb forallb]. rewrite IH, orb_false_r.
  destruct (Nat.eqb (name a) n); reflexivity.
Qed.

Lemma lacks_both : forall m t cs, lacks [m; t] cs = lacks [m] cs && lacks [t] cs.
Proof.
  unfold lacks. intros m t cs. rewrite <- forallb_and. induction cs as [|a cs IH]; [reflexivity|]. cbn [forallb].
  rewrite IH. f_equal. cbn [existsb]. now rewrite !orb_false_r, negb_orb.
Qed.

Lemma lacks_none : forall cs, lacks [] cs = true.
Proof. intros. unfold lacks. apply forallb_forall. reflexivity. Qed.

Lemma count_held : forall m also, count (fun cs => held m also cs && little cs) rows =
  match also with
  | None => count (fun cs => little cs && lacks [] cs) rows - count (fun cs => little cs && lacks [m] cs) rows
  | Some t => count (fun cs => little cs && lacks [] cs) rows - count (fun cs => little cs && lacks [m] cs) rows
              - count (fun cs => little cs && lacks [t] cs) rows + count (fun cs => little cs && lacks [m; t] cs) rows
  end.
Proof.
  intros m also. unfold held. destruct also as [t|]; rewrite !count_as_sum.
  - enough (G : forall l, add_up (map (fun cs => if has m cs && has t cs && little cs then 1 else 0) l) =
      add_up (map (fun cs => if little cs && lacks [] cs then 1 else 0) l)
      - add_up (map (fun cs => if little cs && lacks [m] cs then 1 else 0) l)
      - add_up (map (fun cs => if little cs && lacks [t] cs then 1 else 0) l)
      + add_up (map (fun cs => if little cs && lacks [m; t] cs then 1 else 0) l)) by apply G.
    induction l as [|cs l IH]; [reflexivity|]. cbn [map add_up]. rewrite IH, !has_lacks, lacks_both, lacks_none.
    destruct (lacks [m] cs), (lacks [t] cs), (little cs); cbn [andb negb]; lia.
  - enough (G : forall l, add_up (map (fun cs => if has m cs && true && little cs then 1 else 0) l) =
      add_up (map (fun cs => if little cs && lacks [] cs then 1 else 0) l)
      - add_up (map (fun cs => if little cs && lacks [m] cs then 1 else 0) l)) by apply G.
    induction l as [|cs l IH]; [reflexivity|]. cbn [map add_up]. rewrite IH, has_lacks, lacks_none.
    destruct (lacks [m] cs), (little cs); cbn [andb negb]; lia.
Qed.

Lemma count_reaching_right : forall limit m also n,
  count_reaching upper limit tables uses (runs_of uses) step phases m also = Fine n ->
  n = count (fun cs => held m also cs && little cs) rows.
Proof.
  intros limit m also n E. unfold count_reaching in E.
  assert (same : add_up (map (fun i => fst (nth i parts (0, []))) uses) = add_up (map least uses)).
  { f_equal. apply map_ext_in. intros i U. now rewrite part_at. }
  rewrite same in E. fold phase in E. fold most in E.
  assert (none : (forall cs, In cs (product rows) -> little cs = false) -> 0 = count (fun cs => held m also cs && little cs) rows).
  { intros F. rewrite (count_ext _ (fun _ => false)) by (intros cs I; rewrite F by assumption; apply andb_false_r).
    rewrite count_filter. clear F. induction (product rows) as [|cs l IH]; [reflexivity | exact IH]. }
  destruct (most <? 0) eqn:negative.
  { apply fine_eq in E. subst n. apply Z.ltb_lt in negative. apply none. intros cs I. unfold little. apply Z.leb_gt.
    destruct (losses_nonneg (fun _ => true) loss cs) as [L _]; [|now apply forallb_forall | lia].
    apply (choice_natural _ _ rows); [apply natural_rows | assumption]. }
  apply Z.ltb_ge in negative.
  destruct (multiply (map (fun i => Z.of_nat (length (nth i losses []))) uses) =? 0) eqn:zero.
  { apply fine_eq in E. subst n. apply Z.eqb_eq in zero. rewrite choices_count in zero.
    apply Z.le_antisymm; [apply count_nonneg|]. rewrite <- zero. apply count_le. intros cs I L. apply andb_prop in L.
    destruct L as [_ L]. now apply little_keeps. }
  apply require_fine in E. destruct E as [T E]. apply fine_eq in E. subst n.
  rewrite !andb_true_iff, Z.ltb_lt, Z.ltb_lt, Z.shiftl_1_l in T. destruct T as [[_ positive] few].
  rewrite count_held. destruct also as [t|]; now rewrite !number_right by assumption.
Qed.

Theorem reaching_from_above : forall limit m also n, upper = true ->
  count_reaching upper limit tables uses (runs_of uses) step phases m also = Fine n ->
  count (fun cs => held m also cs && (0 <=? number_of cs)) rows <= n.
Proof.
  intros limit m also n up E. rewrite (count_reaching_right _ _ _ _ E). apply count_le. intros cs I L.
  apply andb_prop in L. destruct L as [H R]. rewrite H. cbn [andb]. apply Z.leb_le in R. unfold little. apply Z.leb_le.
  now apply reaching_loses_little.
Qed.

Theorem reaching_from_below : forall limit m also n, upper = false ->
  count_reaching upper limit tables uses (runs_of uses) step phases m also = Fine n ->
  n <= count (fun cs => held m also cs && (0 <=? number_of cs)) rows.
Proof.
  intros limit m also n down E. rewrite (count_reaching_right _ _ _ _ E). apply count_le. intros cs I L.
  apply andb_prop in L. destruct L as [H R]. rewrite H. cbn [andb]. apply Z.leb_le. unfold little in R. apply Z.leb_le in R.
  now apply losing_little_reaches.
Qed.
End Sound.
